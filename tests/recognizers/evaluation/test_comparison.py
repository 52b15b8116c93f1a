import itertools
import math
import time

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score

from recognizers.evaluation.comparison import bootstrap_subjects, compare, mcnemar, mean_difference
from recognizers.evaluation.metrics import score_seeds
from recognizers.evaluation.predictions import Predictions
from tests.recognizers.evaluation.tiny_predictions import CLASSES, frame_of, random_run


def right_or_wrong(right: list[bool], clips_each: int = 1) -> Predictions:
    """A run of two classes; every clip of subject i is right or wrong together."""
    true = ["negative", "positive"] * (len(right) * clips_each // 2)
    flip = {"negative": "positive", "positive": "negative"}
    every = np.repeat(right, clips_each)
    predicted = [t if r else flip[t] for t, r in zip(true, every, strict=True)]
    subjects = [f"{n:03}" for n in np.repeat(np.arange(len(right)), clips_each)]
    classes = CLASSES[:2]
    return Predictions(frame_of(true, predicted, subjects, classes=classes), classes)


RIGHT = [True] * 28 + [False] * 12


def test_interval_of_accuracy_is_that_of_the_binomial():
    """One clip per subject: the resampled accuracy is Binomial(S, share right) / S."""
    interval = bootstrap_subjects(right_or_wrong(RIGHT), "accuracy", samples=40_000)
    binomial = stats.binom(40, 0.7)
    assert interval.estimate == pytest.approx(0.7)
    assert interval.low == pytest.approx(binomial.ppf(0.025) / 40)
    assert interval.high == pytest.approx(binomial.ppf(0.975) / 40)
    assert (interval.subjects, interval.samples, interval.level) == (40, 40_000, 0.95)


def test_more_clips_of_the_same_subjects_add_no_evidence():
    one = bootstrap_subjects(right_or_wrong(RIGHT), "accuracy")
    ten = bootstrap_subjects(right_or_wrong(RIGHT, clips_each=10), "accuracy")
    assert (ten.low, ten.high) == pytest.approx((one.low, one.high))
    assert ten.subjects == 40


def test_interval_of_uf1_is_that_of_all_resamples_counted_out():
    """Five subjects have 5^5 equally likely resamples; scikit-learn scores each."""
    run = random_run(num_clips=40, num_subjects=5, seeds=2)
    parts = {
        key: np.array([rows["true"].map(CLASSES.index), rows["predicted"].map(CLASSES.index)])
        for key, rows in run.frame.groupby(["seed", "subject"])
    }
    subjects = sorted(run.frame["subject"].unique())
    counted, weights = [], []
    for drawn in itertools.combinations_with_replacement(subjects, 5):
        uf1 = []
        for seed in run.seeds:
            true, predicted = np.concatenate([parts[seed, subject] for subject in drawn], 1)
            uf1.append(f1_score(true, predicted, labels=np.unique(true), average="macro"))
        counted.append(np.mean(uf1))
        weights.append(stats.multinomial.pmf([drawn.count(s) for s in subjects], 5, [0.2] * 5))
    order = np.argsort(counted)
    share = np.cumsum(np.array(weights)[order])
    for level in (0.5, 0.9):
        interval = bootstrap_subjects(run, samples=20_000, level=level, seed=3)
        for end, quantile in ((interval.low, (1 - level) / 2), (interval.high, (1 + level) / 2)):
            # Where 20 000 resamples put the quantile, its share is sure to within 0.015 (4 sigma).
            near = np.searchsorted(share, [quantile - 0.015, quantile + 0.015])
            low, high = np.array(counted)[order][near]
            assert low - 1e-12 <= end <= high + 1e-12
        assert interval.estimate == pytest.approx(score_seeds(run).mean["uf1"])


def test_same_seed_same_interval():
    run = random_run()
    assert bootstrap_subjects(run, seed=4) == bootstrap_subjects(run, seed=4)
    assert bootstrap_subjects(run, seed=4).low != bootstrap_subjects(run, seed=5).low


def test_lower_level_lies_within_higher():
    run = random_run()
    narrow, wide = (bootstrap_subjects(run, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_2000_resamples_of_68_subjects_take_less_than_a_second():
    run = random_run(num_clips=442, num_subjects=68, seeds=3)
    start = time.perf_counter()
    bootstrap_subjects(run)
    assert time.perf_counter() - start < 1


def test_run_differs_in_nothing_from_itself_whatever_the_order_of_seeds_and_classes():
    run = random_run(seeds=3)
    frame = run.frame.assign(seed=2 - run.frame["seed"])
    result = compare(run, Predictions(frame, CLASSES[::-1]))
    assert result.p == 1
    assert (result.difference.low, result.difference.high) == (0, 0)


def test_difference_is_run_minus_baseline():
    good, bad = random_run(skill=0.8), random_run(skill=0.3)
    result = compare(good, bad)
    expected = score_seeds(good).mean["uf1"] - score_seeds(bad).mean["uf1"]
    assert result.difference.estimate == pytest.approx(expected)
    assert 0 < result.difference.low < expected < result.difference.high
    assert result.p < 0.01
    assert result.statistic == "uf1"
    mirrored = compare(bad, good)
    assert mirrored.difference.low == pytest.approx(-result.difference.high)
    assert mirrored.p == result.p
    assert mirrored.mcnemar[0].only_baseline == result.mcnemar[0].only_run


def test_both_runs_share_their_resamples():
    """Accuracy on the same clips, one subject of 40 apart: a paired difference is never below 0."""
    result = compare(right_or_wrong([True] * 29 + [False] * 11), right_or_wrong(RIGHT), "accuracy")
    # The subject comes Poisson-like often: 0 times in about (39 / 40)^40 = 0.36 of the resamples.
    assert result.difference.low == 0
    assert result.difference.high == pytest.approx(3 / 40)
    assert result.p == pytest.approx(2 * (39 / 40) ** 40, abs=0.05)


def test_mean_difference_of_one_pair_is_that_of_compare():
    run, baseline = random_run(skill=0.8), random_run(skill=0.3)
    assert mean_difference([(run, baseline)]) == compare(run, baseline).difference


def test_systems_on_the_same_people_share_their_resamples():
    """A gain of one system that another loses, person by person, is none in every resample."""
    run, baseline = random_run(skill=0.8), random_run(skill=0.3)
    none = mean_difference([(run, baseline), (baseline, run)])
    assert (none.estimate, none.low, none.high) == pytest.approx((0, 0, 0))


def test_other_people_add_evidence():
    """Of two databases as large, the mean's variance is half that of one."""
    run, baseline = right_or_wrong(RIGHT * 4), right_or_wrong([False] * 160)
    other = [
        Predictions(each.frame.assign(dataset="other"), each.classes) for each in (run, baseline)
    ]
    one = mean_difference([(run, baseline)], "accuracy", samples=20_000)
    two = mean_difference([(run, baseline), tuple(other)], "accuracy", samples=20_000)
    assert two.estimate == pytest.approx(one.estimate)
    assert (one.subjects, two.subjects) == (160, 320)
    assert two.high - two.low == pytest.approx((one.high - one.low) / math.sqrt(2), rel=0.05)


def test_a_mean_of_no_pairs_is_refused():
    with pytest.raises(ValueError, match="one pair of runs or more, got none"):
        mean_difference([])


def test_p_is_never_0():
    result = compare(right_or_wrong([True] * 40), right_or_wrong([False] * 40), samples=99)
    assert result.p == pytest.approx(2 / 100)


def test_p_and_interval_agree():
    run, baseline = random_run(skill=0.55), random_run(skill=0.4)
    p = compare(run, baseline, samples=20_000).p
    inside = compare(run, baseline, samples=20_000, level=1 - p - 0.01).difference
    outside = compare(run, baseline, samples=20_000, level=1 - p + 0.01).difference
    assert inside.low > 0 > outside.low


def test_seeds_enter_as_their_mean():
    three, one = random_run(skill=0.6, seeds=3), random_run(skill=0.5)
    result = compare(three, one)
    expected = score_seeds(three).mean["uf1"] - score_seeds(one).mean["uf1"]
    assert result.difference.estimate == pytest.approx(expected)
    assert list(result.mcnemar) == [0]


def test_mcnemar_counts_clips_joined_by_id():
    true = ["negative"] * 6
    run = frame_of(true, ["negative"] * 4 + ["positive"] * 2, ["1", "1", "2", "2", "3", "3"])
    guessed = ["positive"] * 3 + ["negative"] * 2 + ["positive"]
    baseline = frame_of(true, guessed, run["subject"].tolist())
    result = compare(
        Predictions(run, CLASSES), Predictions(baseline.sample(frac=1, random_state=1), CLASSES)
    )
    assert (result.mcnemar[0].only_run, result.mcnemar[0].only_baseline) == (3, 1)
    apart = compare(Predictions(run, CLASSES), Predictions(baseline.assign(seed=7), CLASSES))
    assert apart.mcnemar == {}


def test_mcnemar_of_published_examples():
    # The two examples of mlxtend's user guide: 25 against 15 clips, and 11 against 1.
    even = mcnemar(25, 15)
    assert even.chi2 == pytest.approx(2.025)
    assert even.chi2_p == pytest.approx(0.154728923485, abs=1e-9)
    clear = mcnemar(11, 1)
    assert clear.chi2 == pytest.approx(6.75)
    # 2 * P(X <= 1) of Binomial(12, 1/2)
    assert clear.exact_p == pytest.approx(2 * (1 + 12) / 2**12)


@pytest.mark.parametrize(("b", "c"), [(0, 3), (4, 9), (30, 12)])
def test_mcnemar_is_that_of_scipy(b, c):
    test = mcnemar(b, c)
    assert test.exact_p == pytest.approx(min(1, 2 * stats.binom.cdf(min(b, c), b + c, 0.5)))
    assert test.chi2 == pytest.approx((abs(b - c) - 1) ** 2 / (b + c))
    assert test.chi2_p == pytest.approx(stats.chi2.sf(test.chi2, df=1))


@pytest.mark.parametrize("count", [0, 1, 7])
def test_mcnemar_of_equal_counts_sees_no_difference(count):
    test = mcnemar(count, count)
    assert (test.exact_p, test.chi2, test.chi2_p) == (1, 0, 1)


def test_runs_on_other_clips_are_refused_by_name():
    run = random_run(num_clips=20, num_subjects=4)
    fewer = Predictions(run.frame.iloc[1:], CLASSES)
    with pytest.raises(ValueError, match=f"1 clips of the run not in the baseline: {run.clips[0]}"):
        compare(run, fewer)
    with pytest.raises(ValueError, match=f"of the baseline not in the run: {run.clips[0]}"):
        compare(fewer, run)
    other = Predictions(run.frame.assign(true="negative"), CLASSES)
    with pytest.raises(ValueError, match="disagree on the true label"):
        compare(run, other)
    with pytest.raises(ValueError, match="different classes: negative, positive, surprise and neg"):
        compare(run, right_or_wrong(RIGHT))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"statistic": "f2"}, "got 'f2'"),
        ({"samples": 0}, "samples must be 1 or more, got 0"),
        ({"level": 95}, r"level must lie in \(0, 1\), got 95"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_subjects(random_run(), **options)
    with pytest.raises(ValueError, match=message):
        compare(random_run(), random_run(), **options)


def test_one_subject_has_no_interval():
    run = Predictions(frame_of(["negative"] * 2, ["negative"] * 2, ["1", "1"]), CLASSES)
    with pytest.raises(ValueError, match="two subjects"):
        bootstrap_subjects(run)


def test_negative_counts_are_refused():
    with pytest.raises(ValueError, match="-1"):
        mcnemar(-1, 3)
