import numpy as np
import pandas as pd
import pytest

from recognizers.evaluation.predictions import Predictions, join
from tests.recognizers.evaluation.tiny_predictions import CLASSES, frame_of, random_run


def small() -> pd.DataFrame:
    true = ["negative", "positive", "surprise"]
    return pd.concat([frame_of(true, true, ["006", "006", "007"], seed=seed) for seed in (0, 1)])


def table_of(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["seed"] == 0][["dataset", "subject", "clip", "true"]]


def test_csv_is_read_back_as_it_was_written(tmp_path):
    run = random_run(seeds=2)
    run.to_csv(tmp_path / "predictions.csv")
    again = Predictions.from_csv(tmp_path / "predictions.csv")
    pd.testing.assert_frame_equal(again.frame, run.frame)
    assert again.classes == CLASSES
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]


def test_csv_keeps_names_that_look_like_numbers_or_gaps(tmp_path):
    frame = frame_of(["NA", "null"], ["null", "1e2"], ["006", "6"], classes=("NA", "null", "1e2"))
    Predictions(frame, ("NA", "null", "1e2")).to_csv(tmp_path / "p.csv")
    run = Predictions.from_csv(tmp_path / "p.csv")
    assert run.clips == ("samm/006/clip000", "samm/6/clip001")
    assert run.frame["true"].tolist() == ["NA", "null"]
    assert run.classes == ("NA", "null", "1e2")


def test_probabilities_survive_bit_for_bit(tmp_path):
    frame = small()
    p = np.random.default_rng(0).dirichlet([1, 1, 1], len(frame))
    frame[[f"p_{name}" for name in CLASSES]] = p
    frame["predicted"] = [CLASSES[i] for i in p.argmax(1)]
    Predictions(frame, CLASSES).to_csv(tmp_path / "p.csv")
    again = Predictions.from_csv(tmp_path / "p.csv", CLASSES)
    np.testing.assert_array_equal(again.frame[[f"p_{name}" for name in CLASSES]].to_numpy(), p)


def test_a_label_that_is_not_the_most_probable_class_is_refused():
    frame = small()
    named = frame["predicted"].iloc[0]
    frame.loc[frame.index[0], "predicted"] = next(name for name in CLASSES if name != named)
    with pytest.raises(ValueError, match=rf"which is not its most probable class \({named}\)"):
        Predictions(frame, CLASSES)
    frame[[f"p_{name}" for name in CLASSES]] = 1 / 3  # any label of a tie will do
    assert len(Predictions(frame, CLASSES).frame) == len(frame)


def test_order_of_classes_is_the_given_one(tmp_path):
    Predictions(small(), CLASSES).to_csv(tmp_path / "p.csv")
    run = Predictions.from_csv(tmp_path / "p.csv", CLASSES[::-1])
    assert run.codes.true.tolist() == [2, 1, 0]
    assert list(run.frame.columns[-3:]) == ["p_surprise", "p_positive", "p_negative"]


def test_codes_follow_the_sorted_clips():
    run = Predictions(small().iloc[::-1], CLASSES)
    assert run.seeds == (0, 1)
    assert run.clips == ("samm/006/clip000", "samm/006/clip001", "samm/007/clip002")
    assert run.codes.true.tolist() == [0, 1, 2]
    assert run.codes.predicted.tolist() == [[0, 1, 2], [0, 1, 2]]
    assert run.codes.subject.tolist() == [0, 0, 1]


def test_subjects_of_two_databases_are_two():
    frame = frame_of(["negative"] * 2, ["negative"] * 2, ["1", "1"], datasets=["samm", "smic"])
    assert Predictions(frame, CLASSES).codes.subject.tolist() == [0, 1]


def test_frame_is_copied():
    frame = small()
    run = Predictions(frame, CLASSES)
    frame["predicted"] = "negative"
    assert run.frame["predicted"].tolist() == ["negative", "positive", "surprise"] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["clip", "p_positive"]), "lack the columns clip, p_positive"),
        (lambda f: f.iloc[:0], "no row"),
        (lambda f: f.assign(p_happy=0.0), "no class: p_happy"),
        (lambda f: f.assign(true="happy"), "'true'.*'happy'"),
        (lambda f: f.assign(predicted="sad"), "'predicted'.*'sad'.*negative, positive, surprise"),
        (lambda f: f.assign(subject=None), "6 rows have an empty 'subject'"),
        (lambda f: f.assign(clip=""), "empty 'clip'"),
        (lambda f: f.assign(seed=0.5), "whole number, got 0.5"),
        (lambda f: f.assign(seed="first"), "'seed' holds something that is not a number"),
        (lambda f: f.assign(p_positive=np.nan), "'p_positive' is nan for seed 0 samm/006/clip000"),
        (lambda f: f.assign(p_positive=1.5), r"p_positive must lie in \[0, 1\], got 1.5"),
        (lambda f: f.assign(p_positive=0.9), "add up to .* instead of 1; write softmax"),
        (lambda f: pd.concat([f, f.iloc[[4]]]), "repeat.*seed 1 samm/006/clip001"),
        (lambda f: f.iloc[:5], "1 clips of seed 0 not in seed 1: samm/007/clip002"),
        (lambda f: f.iloc[1:], "1 clips of seed 1 not in seed 0: samm/006/clip000"),
        (
            lambda f: f.assign(true=[*CLASSES, *CLASSES[:2], "negative"]),
            r"seed 0 and seed 1 disagree .* samm/007/clip002 \('surprise' and 'negative'\)",
        ),
        (lambda f: f[[*f.columns, "fold"]], "hold a column twice"),
    ],
)
def test_broken_tables_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        Predictions(change(small()), CLASSES)


def test_broken_files_name_the_file(tmp_path):
    path = tmp_path / "predictions.csv"
    with pytest.raises(FileNotFoundError):
        Predictions.from_csv(path)
    path.write_text("")
    with pytest.raises(ValueError, match=r"predictions\.csv is empty"):
        Predictions.from_csv(path)
    path.write_text("seed,fold\n0,1\n0\n")
    with pytest.raises(ValueError, match=r"row 2 has 1 cells, the header has 2"):
        Predictions.from_csv(path)
    path.write_text("seed,fold,p_negative\n0,1,1\n")
    with pytest.raises(ValueError, match=r"predictions\.csv: predictions lack the columns"):
        Predictions.from_csv(path)


def test_join_carries_the_tables_columns_to_their_clips():
    table = table_of(small()).assign(aus=["4", "6+12", "1+2"]).iloc[[2, 0, 1]]
    joined = join(Predictions(small(), CLASSES), table)
    assert joined.frame["aus"].tolist() == ["4", "6+12", "1+2"] * 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.iloc[1:], "1 clips of the predictions not in .*truth: samm/006/clip000"),
        (
            lambda t: pd.concat([t, t.tail(1).assign(clip="other")]),
            "1 clips of the table of the truth not in the predictions: samm/007/other",
        ),
        (
            lambda t: t.assign(true=["positive", "positive", "surprise"]),
            r"disagree on the true label of 1 clips: samm/006/clip000 \('negative' and 'positive'",
        ),
        (lambda t: pd.concat([t, t.head(1)]), "come twice .*: samm/006/clip000"),
        (lambda t: t.drop(columns="true"), "lack the columns true"),
        (lambda t: t.assign(fold=0), "both have a column fold"),
        (lambda t: t.assign(subject=t["subject"].astype(int)), "3 clips of the predictions"),
    ],
)
def test_join_names_what_does_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        join(Predictions(small(), CLASSES), change(table_of(small())))


def test_csv_saved_by_a_spreadsheet_is_read(tmp_path):
    Predictions(small(), CLASSES).to_csv(tmp_path / "p.csv")
    text = (tmp_path / "p.csv").read_text()
    marked = tmp_path / "marked.csv"
    marked.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode() + b"\r\n")
    run = Predictions.from_csv(marked)
    pd.testing.assert_frame_equal(run.frame, Predictions(small(), CLASSES).frame)
