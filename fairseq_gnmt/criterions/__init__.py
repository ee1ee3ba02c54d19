"""Training objectives; importing the package registers them."""

from fairseq_gnmt.criterions import label_smoothed_cross_entropy, mixed_objective  # noqa: F401
