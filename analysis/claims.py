"""The paper's claims, each with a verdict from what the sweeps measured.

A verdict on two networks needs a difference that is sure in two ways: over images, for the
winners, and over fresh seeds (`--confirm`), as a winner was chosen by luck too. Claims on a
setting (4 and 5) are judged over a search's trials, each with a seed of its own, which differ in
more than that setting, and over images for the best trial with it and the best without.
Intervals are 95 % for all comparisons of a claim together (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from analysis.evidence import Evidence
from analysis.intervals import Interval, difference_interval, mean_interval
from analysis.load import competing
from analysis.paper import ORDER, ROWS
from analysis.tables import cell

CONFIRMED, REFUTED, UNDECIDED = "confirmed", "refuted", "not enough evidence"


@dataclass(frozen=True)
class Verdict:
    """A claim in a sentence, what the results say of it, and the figures that say so."""

    claim: str
    verdict: str
    figures: tuple[str, ...]


def verdicts(evidence: Evidence) -> list[Verdict]:
    """One for each claim of the paper that an experiment can decide."""
    claims: tuple[Callable[[Evidence], Verdict], ...] = (
        iou_rises,
        compute_rises_otherwise,
        mask_rcnn_separates_best,
        masks_need_splitting,
        sigmoid_learns_worse,
        residuals_cure_sigmoid,
        combining_is_better,
    )
    return [claim(evidence) for claim in claims]


def iou_rises(evidence: Evidence) -> Verdict:
    """Claim 1, first half: each step of the order must be a gain that is sure.

    Where networks are missing, the steps over them can refute the order, but not confirm it.
    """
    found = [name for name in ORDER if evidence.winner(name).height]
    order = found if len(found) > 1 else ORDER
    steps = {
        f"{ROWS[better].model} - {ROWS[worse].model}": evidence.difference(
            better, worse, "iou", len(order) - 1
        )
        for worse, better in pairwise(order)
    }
    verdict = _all_of(step.sign for step in steps.values())
    return Verdict(
        "IoU rises from simple CNN to ResNet to U-Net to Mask R-CNN",
        UNDECIDED if verdict == CONFIRMED and len(found) < len(ORDER) else verdict,
        tuple(f"{name}: IoU {step}" for name, step in steps.items()),
    )


def compute_rises_otherwise(evidence: Evidence) -> Verdict:
    """Claim 1, second half: ResNet costs most, and is third by IoU; both surely, over seeds."""
    claim = "compute does not rise with IoU: ResNet is the slowest and only third best"
    winners = {name: evidence.winner(name).to_dicts() for name in ORDER}
    figures = tuple(
        f"{ROWS[name].model}: IoU {cell(trial['val_iou'])}, {cell(trial['device_seconds'])} "
        f"device-seconds on {trial['device']}"
        for name, found in winners.items()
        for trial in found
    )
    devices = {trial["device"] for found in winners.values() for trial in found}
    repeats = [evidence.again(trial) for found in winners.values() for trial in found]
    if len(repeats) < len(ORDER) or min(map(len, repeats)) < 2 or len(devices) > 1:
        return Verdict(claim, UNDECIDED, figures)

    def sure(column: str) -> list[int]:
        """The sign of ResNet's figure less each other's."""
        mine = evidence.again(winners["resnet"][0], column)
        others = (winners[name][0] for name in ORDER if name != "resnet")
        return [
            difference_interval(mine, evidence.again(other, column), 1 - 0.05 / 6).sign
            for other in others
        ]

    iou, cost = sure("val_iou"), sure("device_seconds")
    if iou.count(-1) == 2 and iou.count(1) == 1 and cost.count(1) == 3:
        return Verdict(claim, CONFIRMED, figures)
    is_refuted = iou.count(-1) == 3 or iou.count(1) > 1 or -1 in cost
    return Verdict(claim, REFUTED if is_refuted else UNDECIDED, figures)


def mask_rcnn_separates_best(evidence: Evidence) -> Verdict:
    """Claim 2: a better Data Science Bowl score than each other's, without more splits and merges.

    Splits and merges alone refute nothing: who finds no nucleus makes none.
    """
    others = [name for name in ORDER if name != "mask_rcnn"]
    score, errors = (
        {name: evidence.difference("mask_rcnn", name, what, len(others)) for name in others}
        for what in ("map", "errors")
    )
    verdict = _all_of(difference.sign for difference in score.values())
    if verdict == CONFIRMED and any(difference.sign > 0 for difference in errors.values()):
        verdict = UNDECIDED
    named = {"Data Science Bowl score": score, "splits and merges an image": errors}
    return Verdict(
        "Mask R-CNN separates touching nuclei best",
        verdict,
        tuple(
            f"{what}, Mask R-CNN - {ROWS[name].model}: {difference}"
            for what, differences in named.items()
            for name, difference in differences.items()
        ),
    )


def masks_need_splitting(evidence: Evidence) -> Verdict:
    """Claim 3: what splitting adds to the score of each network that labels pixels, over images:
    one network with and without it, so that luck with the seed is on both sides.
    """
    names = [name for name in ORDER if name != "mask_rcnn"]
    gains = {
        ROWS[name].model: _gain_by_splitting(evidence.images_of(name), 1 - 0.05 / len(names))
        for name in names
    }
    return Verdict(
        "a semantic mask is the union of all nuclei, and has to be split by post-processing",
        _all_of(gain.sign if gain else 0 for gain in gains.values()),
        tuple(
            f"{name}: Data Science Bowl score by splitting {gain or 'not measured'}"
            for name, gain in gains.items()
        ),
    )


def _gain_by_splitting(images: pl.DataFrame, confidence: float) -> Interval | None:
    """The winner's score less that of its connected components, a mean over images."""
    gain = (pl.col("map") - pl.col("map_unsplit")).mean()
    gains = images.group_by("image").agg(gain).sort("image")["map"].drop_nulls()
    return mean_interval(gains, confidence) if len(gains) else None


def sigmoid_learns_worse(evidence: Evidence) -> Verdict:
    """Claim 4, as far as a search shows it: within each architecture that was tried with both."""
    return _by_trials(
        "sigmoid activations in deep networks learn worse; ReLU and its like cure it",
        evidence,
        "without sigmoid",
        _setting("activation") != "sigmoid",
    )


def residuals_cure_sigmoid(evidence: Evidence) -> Verdict:
    """Claim 4, its other cure: trials with sigmoid activations alone."""
    return _by_trials(
        "residual connections cure what sigmoid activations do",
        replace(evidence, trials=evidence.trials.filter(_setting("activation") == "sigmoid")),
        "with residual connections",
        _setting("residual") == "true",
    )


def combining_is_better(evidence: Evidence) -> Verdict:
    """Claim 5, the step that it names: pixels labelled beside boxes, to fill what these missed."""
    return _by_trials(
        "a U-Net's pixels combined with Mask R-CNN's boxes are better than boxes alone",
        evidence,
        "with a side head that fills gaps",
        (_setting("semantic_head") == "true") & (_setting("fill") == "true"),
        score="map",
    )


def _setting(name: str) -> pl.Expr:
    """A hyperparameter as text; null where a trial has none of that name."""
    return pl.col("hyperparameters").str.json_path_match(f"$.{name}")


def _by_trials(
    claim: str, evidence: Evidence, what: str, has: pl.Expr, score: str = "iou"
) -> Verdict:
    """Whether trials with something are surely better than those without it, within each
    architecture that was tried with both: over trials, each of which has a seed and other settings
    of its own, and over images, for the best of both.
    """
    column = f"val_{score}"
    scored = competing(evidence.trials).filter(pl.col(column).is_not_null()).with_columns(has=has)
    tried = {}
    for name in ORDER:
        mine = scored.filter(pl.col("architecture") == name)
        having, lacking = (mine.filter(pl.col("has") == each) for each in (True, False))
        if min(len(having), len(lacking)) > 1:
            tried[name] = having, lacking
    figures, signs = [], []
    for name, (having, lacking) in tried.items():
        confidence = 1 - 0.05 / len(tried)
        gain = difference_interval(having[column], lacking[column], confidence)
        best = evidence.by_image(having, lacking, score, confidence)
        figures.append(
            f"{ROWS[name].model}: {column} of {len(having)} trials {what} less that of the "
            f"{len(lacking)} others: over trials {gain}, over images, best less best, "
            f"{best or 'not measured'}"
        )
        signs.append(gain.sign if best and best.sign == gain.sign else 0)
    return Verdict(
        claim,
        _all_of(signs) if signs else UNDECIDED,
        tuple(figures) or (f"two trials or more of one network {what}, and two others, needed",),
    )


def _all_of(signs: Iterable[int]) -> str:
    """Confirmed if all are surely positive, refuted if one is surely negative."""
    found = list(signs)
    if all(sign > 0 for sign in found):
        return CONFIRMED
    return REFUTED if any(sign < 0 for sign in found) else UNDECIDED
