"""What a formula's leaves are called: a number at each position of a student, of the teacher, or of both."""

from __future__ import annotations

POSITIONS = ("stem", "stage 1", "stage 2", "stage 3", "classifier")
"""Where networks of every space can be compared, however many cells, blocks and operations they have.

A map is what the stem puts out, what a stage ends with, and the logits. Weights and their derivatives are those of the
stem's convolution, of all layers in the blocks of a stage (a block belongs to the stage whose map is as large as its
output) and of the classifier: the nodes within cells are not told apart, since another cell has others.
"""

OF_ONE = (
    "map_mean",
    "map_std",
    "map_rank",
    "map_channels",
    "map_correlation",
    "code_share",
    "code_distance",
    "code_logdet",
    "weight_l1",
    "weight_l2",
    "gradient_l1",
    "gradient_l2",
    "product_l1",
    "gate_square",
)
"""Statistics of one network, in the order in which they are kept (search/formula/statistics.py has their formulas)."""
OF_BOTH = ("gram_distance", "cka", "attention_distance", "code_difference")
"""Statistics of a student beside the teacher."""
STUDENT = (*(f"student.{name}" for name in OF_ONE), *(f"both.{name}" for name in OF_BOTH))
"""Those that differ from student to student."""
TEACHER = tuple(f"teacher.{name}" for name in OF_ONE)
LEAVES = (*STUDENT, *TEACHER)
