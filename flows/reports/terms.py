"""The figures of findings by names that anybody can read, and what each of them is."""

from __future__ import annotations

TERMS: dict[str, tuple[str, str | None]] = {
    "p_value": (
        "p by itself",
        "how likely so large a difference is by chance, were nothing else tested",
    ),
    "p_adjusted": (
        "p adjusted for all checks",
        "the same, made good for how many checks there were; this decides",
    ),
    "q_share": (
        "p of its share, adjusted",
        "how likely so different a share is by chance, made good for how many slices were tested",
    ),
    "q_inside": (
        "p of its records, adjusted",
        "how likely records so unlike those before are by chance, made good for all slices tested",
    ),
    "mmd": (
        "difference inside",
        "how far its vectors lie from those before (MMD): 0 is alike, 1 has nothing in common",
    ),
    "residual": (
        "away from its usual share",
        "in standard deviations: above 0 it has grown, below 0 it has shrunk",
    ),
    "z": (
        "how clearly it moved",
        "in standard deviations: above 0 for words that came, below 0 for those that went",
    ),
    "ks": (
        "largest difference of shares",
        "Kolmogorov and Smirnov's distance: 0 is alike, 1 has nothing in common",
    ),
    "selected": ("records named", "how many records this detector would name by itself"),
    "n_reference": ("records before", None),
    "n_current": ("records now", None),
    "cosine": ("likeness", "cosine of both vectors: 1 is the same direction"),
    "within_run": ("twin in this run", "1 where both records came in this run"),
    "others": ("neighbours of another label", "of its nearest records, the share"),
    "median": ("half are longer than", None),
    "median_reference": ("half were longer than", None),
    "usual": ("usual number", "what the runs before wrote, about"),
    "usual_hours": ("usual age in hours", None),
    "hours": ("age in hours", "of the newest event when the run was published"),
    "ratio": ("times the usual", None),
    "value": ("measured", None),
    "limit": ("allowed", None),
    "distance": (
        "largest difference of lengths",
        "Kolmogorov and Smirnov's distance: 0 is alike, 1 has nothing in common",
    ),
    "moved": ("texts in another language", "the share that would have to change to be as before"),
    "unknown": ("texts of no known language", "their share"),
    "columns": ("columns tested", None),
    "tokens": ("tokens cut now", "the share of tokens that the encoder does not read"),
    "tokens_reference": ("tokens cut before", None),
    "share": ("share now", None),
    "share_reference": ("share before", None),
    "share_current": ("share now", None),
    "effective_rank": (
        "effective rank now",
        "how many directions the vectors spread over; a fall says that they became alike",
    ),
    "effective_rank_reference": ("effective rank before", None),
    "radius": ("spread now", "how far from their middle 95 % of the vectors lie"),
    "radius_reference": ("spread before", None),
    "non_finite": ("rows with NaN or infinity", None),
    "zero_norm_share": ("rows that are all zero", "their share"),
    "identical_share": ("contents with another's vector", "their share"),
    "dead_share": ("dimensions that stand still", "the share of those that used to vary"),
    "norm_ratio": ("length, times the usual", "the median length of the vectors, against before"),
    "strange_share": ("records told apart", "the share that a classifier takes for new ones"),
    "changed": ("canaries changed", "contents whose vector is not what it was first"),
    "failed": ("canaries failed", "contents that the encoder fails on now"),
    "cka": ("likeness of the spaces", "CKA: 1 is the same geometry"),
    "overlap": ("neighbours kept", "the share of nearest neighbours that are what they were"),
}
"""By the key of a figure: its heading, and what it is where that needs to be said."""


def named(key: str) -> str:
    """The heading of a figure."""
    return TERMS[key][0] if key in TERMS else key.replace("_", " ")


def explained(key: str) -> str | None:
    """What a figure is; None where its heading says it."""
    return TERMS[key][1] if key in TERMS else None
