"""Divides a dataset into training and validation images that don't know each other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from nucseg_models.data.dataset import Dataset
from nucseg_models.data.errors import DataError
from nucseg_models.data.near_duplicates import near_duplicates
from nucseg_models.data.tiles import adjoining

Group = list[int]


def split(
    dataset: Dataset, *, seed: int, validation_fraction: float = 0.1
) -> tuple[Dataset, Dataset]:
    """Training and validation part of `dataset`, the latter with about `validation_fraction`.

    Images in one group (see `groups`) stay on one side. Of each kind of image about the
    same fraction goes to validation, at least one group if there are two. The result
    depends on the images, their ids and `seed`, not on their order. If all images are
    one group there is no such split: then they are divided one by one.

    DataError for fewer than two images; ValueError unless 0 < validation_fraction < 1.
    """
    if not 0 < validation_fraction < 1:
        raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction}")
    if len(dataset) < 2:
        raise DataError(
            f"{dataset.name}: has {len(dataset)} image; training and validation need "
            "at least one each, so give two or more"
        )
    ordered = dataset.subset(sorted(range(len(dataset)), key=lambda i: dataset.ids[i]))
    grouped = groups(ordered.images)
    if len(grouped) == 1:
        grouped = [[i] for i in grouped[0]]
    validation = _validation(grouped, ordered.kinds, seed, validation_fraction)
    training = [i for i in range(len(ordered)) if i not in validation]
    return ordered.subset(training), ordered.subset(sorted(validation))


def groups(images: Sequence[NDArray[np.uint8]]) -> list[Group]:
    """Indices of the images uint8 (H, W, 3) in groups, of one or more, that belong together.

    Two images do if one is a near-duplicate of the other, or if they are neighbouring
    tiles of a slide, and so does what belongs to either.
    """
    pairs = np.concatenate([near_duplicates(images), adjoining(images)])
    shape = (len(images), len(images))
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=shape)
    members: dict[int, Group] = defaultdict(list)
    for i, number in enumerate(connected_components(graph, directed=False)[1]):
        members[number].append(i)
    return list(members.values())


def _validation(
    grouped: Sequence[Group], kinds: Sequence[str], seed: int, fraction: float
) -> set[int]:
    """The indices of the validation images."""
    generator = np.random.default_rng(seed)
    by_kind = defaultdict(list)
    for group in grouped:
        by_kind[Counter(kinds[i] for i in group).most_common(1)[0][0]].append(group)
    chosen: list[Group] = []
    for kind in sorted(by_kind):
        shuffled = [by_kind[kind][i] for i in generator.permutation(len(by_kind[kind]))]
        if len(shuffled) > 1:
            chosen += _nearest(shuffled, fraction)
    if not chosen:  # each kind is one group
        chosen = [min(grouped, key=len)]
    return {i for group in chosen for i in group}


def _nearest(shuffled: Sequence[Group], fraction: float) -> list[Group]:
    """Some of the groups, not none and not all, with about `fraction` of their images."""
    wanted = fraction * sum(len(group) for group in shuffled)
    chosen: list[Group] = []
    for group in shuffled:
        count = sum(len(taken) for taken in chosen)
        if abs(count + len(group) - wanted) < abs(count - wanted):
            chosen.append(group)
    if not chosen:
        chosen = [min(shuffled, key=len)]
    return chosen if len(chosen) < len(shuffled) else chosen[1:]
