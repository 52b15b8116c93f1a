import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from recognizers.evaluation.metrics import Scores, by_dataset, pooled, score, score_seeds
from recognizers.evaluation.predictions import Predictions, join
from tests.recognizers.evaluation.tiny_predictions import (
    CLASSES,
    frame_of,
    random_labels,
    random_run,
)


def test_worked_example_of_equations_9_to_11():
    # true negative: 6 right, 2 as positive, 2 as surprise; positive: 1 as negative, 3 right;
    # surprise: 1 as positive, 1 right.
    confusion = np.array([[6, 2, 2], [1, 3, 0], [0, 1, 1]])
    scores = Scores.from_confusion(confusion, CLASSES)
    assert scores.accuracy == pytest.approx((6 + 3 + 1) / 16)  # eq. 9
    f1 = [2 * 6 / (2 * 6 + 1 + 4), 2 * 3 / (2 * 3 + 3 + 1), 2 * 1 / (2 * 1 + 2 + 1)]
    assert scores.uf1 == pytest.approx(sum(f1) / 3)  # eq. 10
    assert scores.uar == pytest.approx((6 / 10 + 3 / 4 + 1 / 2) / 3)  # eq. 11
    assert list(scores.f1.values()) == pytest.approx(f1)
    assert scores.recall == pytest.approx({"negative": 0.6, "positive": 0.75, "surprise": 0.5})


@pytest.mark.parametrize("seed", range(5))
def test_scores_are_those_of_scikit_learn(seed):
    true, predicted, _ = random_labels(80, 8, skill=0.4, seed=seed)
    scores = score(true, predicted, CLASSES)
    f1 = sklearn_metrics.f1_score(true, predicted, labels=CLASSES, average=None)
    recall = sklearn_metrics.recall_score(true, predicted, labels=CLASSES, average=None)
    matrix = sklearn_metrics.confusion_matrix(true, predicted, labels=CLASSES)
    assert scores.accuracy == pytest.approx(sklearn_metrics.accuracy_score(true, predicted))
    assert scores.uf1 == pytest.approx(f1.mean())
    assert scores.uar == pytest.approx(sklearn_metrics.balanced_accuracy_score(true, predicted))
    assert list(scores.f1.values()) == pytest.approx(f1.tolist())
    assert list(scores.recall.values()) == pytest.approx(recall.tolist())
    np.testing.assert_array_equal(scores.confusion, matrix)


def test_uar_is_recall_and_not_precision():
    true, predicted = ["negative"] * 8 + ["positive"] * 2, ["negative"] * 10
    precision = sklearn_metrics.precision_score(true, predicted, average="macro", zero_division=0.0)
    scores = score(true, predicted, CLASSES[:2])
    assert scores.uar == 0.5
    assert precision == 0.4  # what a matrix read by columns would give
    assert scores.confusion.tolist() == [[8, 0], [2, 0]]


@pytest.mark.filterwarnings("error")  # such as that of 0 / 0
def test_class_without_clips_counts_nothing_even_if_it_is_predicted():
    true = ["negative", "negative", "positive", "positive"]
    predicted = ["negative", "surprise", "positive", "positive"]
    scores = score(true, predicted, CLASSES)
    assert scores.uf1 == pytest.approx((2 / 3 + 1) / 2)
    assert scores.uar == pytest.approx((1 / 2 + 1) / 2)
    assert scores.uf1 == pytest.approx(
        sklearn_metrics.f1_score(true, predicted, labels=CLASSES[:2], average="macro")
    )
    assert np.isnan(scores.recall["surprise"])
    assert np.isnan(scores.f1["surprise"])


def test_class_that_nobody_predicted_counts_zero():
    scores = score(["negative", "positive"], ["negative", "negative"], CLASSES)
    assert scores.recall["positive"] == scores.f1["positive"] == 0
    assert scores.uar == 0.5
    assert scores.uf1 == pytest.approx(2 / 3 / 2)


def test_metrics_are_pooled_and_not_averaged_over_folds():
    """Two subjects, each with one class: every fold scores 1 or 0, the pool does not."""
    true = ["negative"] * 4 + ["positive"] * 2
    predicted = ["negative"] * 4 + ["negative", "positive"]
    subjects = ["001"] * 4 + ["002"] * 2
    run = Predictions(frame_of(true, predicted, subjects), CLASSES)
    assert score_seeds(run).mean["uf1"] == pytest.approx((8 / 9 + 2 / 3) / 2)
    assert score_seeds(run).mean["accuracy"] == pytest.approx(5 / 6)  # folds: (1 + 1/2) / 2


def test_order_of_rows_does_not_matter():
    run = random_run(seeds=3)
    mixed = Predictions(run.frame.sample(frac=1, random_state=5), CLASSES)
    assert mixed.clips == run.clips
    for seed, scores in score_seeds(run).scores.items():
        np.testing.assert_array_equal(score_seeds(mixed).scores[seed].confusion, scores.confusion)


def test_perfect_classifier_scores_1_though_folds_and_table_differ_in_order():
    true, _, subjects = random_labels(150, 20, skill=1, seed=1)
    table = frame_of(true, true, subjects)[["dataset", "subject", "clip", "true"]]
    by_fold = frame_of(true, true, subjects).sort_values("fold", kind="stable")
    in_fold_order = by_fold["predicted"].tolist()
    assert score(true, in_fold_order, CLASSES).uf1 < 0.6  # the mistake: pooled by position
    joined = join(Predictions(by_fold, CLASSES), table)
    assert score_seeds(joined).mean == {"accuracy": 1.0, "uf1": 1.0, "uar": 1.0}


def test_mean_and_standard_deviation_over_seeds():
    scores = score_seeds(random_run(seeds=4))
    assert list(scores.scores) == [0, 1, 2, 3]
    for name in ("accuracy", "uf1", "uar"):
        values = [getattr(scores.scores[seed], name) for seed in range(4)]
        assert len(set(values)) > 1
        mean = sum(values) / 4
        assert scores.mean[name] == pytest.approx(mean)
        assert scores.sd is not None
        assert scores.sd[name] == pytest.approx((sum((v - mean) ** 2 for v in values) / 3) ** 0.5)
    assert score_seeds(random_run(seeds=1)).sd is None
    two = score_seeds(random_run(seeds=2))
    first, second = (scores.uf1 for scores in two.scores.values())
    assert two.sd is not None
    assert two.sd["uf1"] == pytest.approx(abs(first - second) / 2**0.5)


def test_composite_scores_the_pool_and_each_database():
    true = ["negative", "positive", "negative", "surprise", "positive"]
    predicted = ["negative", "negative", "negative", "surprise", "positive"]
    datasets = ["samm", "samm", "smic", "smic", "smic"]
    run = Predictions(frame_of(true, predicted, ["01"] * 5, datasets=datasets), CLASSES)
    parts = by_dataset(run)
    assert list(parts) == ["Full", "samm", "smic"]
    assert parts["Full"].mean == score_seeds(run).mean
    assert parts["Full"].mean["accuracy"] == pytest.approx(4 / 5)
    assert parts["samm"].mean["uf1"] == pytest.approx((2 / 3 + 0) / 2)  # it has no surprise
    assert parts["smic"].mean["uf1"] == 1
    assert parts["samm"].scores[0].confusion.sum() == 2


def test_composite_refuses_a_database_that_is_called_full():
    run = Predictions(frame_of(["negative"], ["negative"], ["1"], datasets=["Full"]), CLASSES)
    with pytest.raises(ValueError, match="rename"):
        by_dataset(run)


def test_many_matrices_at_once_give_what_each_gives_alone():
    confusion = np.random.default_rng(0).integers(0, 4, (6, 2, 3, 3))
    confusion[0, 0, 2] = 0  # a class without clips
    for name in ("accuracy", "uf1", "uar"):
        alone = [
            [getattr(Scores.from_confusion(matrix, CLASSES), name) for matrix in row]
            for row in confusion
        ]
        np.testing.assert_allclose(pooled(confusion, name), alone)


def test_scores_go_into_json():
    scores = score(["negative", "negative"], ["negative", "positive"], CLASSES)
    read = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert read["recall"] == {"negative": 0.5, "positive": None, "surprise": None}
    assert read["f1"] == pytest.approx({"negative": 2 / 3, "positive": None, "surprise": None})
    assert read["confusion"] == [[1, 1, 0], [0, 0, 0], [0, 0, 0]]
    assert read["classes"] == list(CLASSES)
    assert read["accuracy"] == read["uar"] == 0.5
    two = score_seeds(random_run(seeds=2))
    seeds = json.loads(json.dumps(two.to_dict(), allow_nan=False))
    assert seeds["sd"] == two.sd
    assert score_seeds(random_run(seeds=1)).to_dict()["sd"] is None
    assert set(seeds["seeds"]) == {"0", "1"}
    assert seeds["mean"]["uf1"] == score_seeds(random_run(seeds=2)).mean["uf1"]


@pytest.mark.parametrize(
    ("true", "predicted", "classes", "message"),
    [
        ([], [], CLASSES, "^there are no predictions"),
        (["negative"], [], CLASSES, "1 true labels, but 0 predicted"),
        (["happy"], ["negative"], CLASSES, "'true' that are.*'happy'.*the classes are negative"),
        (["negative"], ["happy"], CLASSES, "'predicted' that are not classes"),
        (["negative"], ["negative"], (), "one name or more"),
        (["negative"], ["negative"], "negative", "one name or more"),
        (["negative"], ["negative"], ("negative", "negative"), "comes twice"),
    ],
)
def test_score_names_what_is_wrong(true, predicted, classes, message):
    with pytest.raises(ValueError, match=message):
        score(true, predicted, classes)


def test_unknown_statistic_and_wrong_matrix_are_refused():
    with pytest.raises(ValueError, match=r"^statistic must be .*accuracy, uf1, uar, got 'f2'"):
        pooled(np.eye(3), "f2")
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"):
        Scores.from_confusion(np.eye(2, dtype=int), CLASSES)


def test_importing_metrics_stays_light():
    code = (
        "import sys, recognizers.evaluation.metrics, recognizers.evaluation.comparison;"
        "print([m for m in ('pandas', 'sklearn', 'scipy', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
