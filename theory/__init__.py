"""Learning-rate bounds, each with its proof or source.

`nmf` holds the smoothness bounds of Frobenius-loss matrix factorisation, `spectral` the certified upper
bounds on singular values they need at every step, `noise` the largest LR that still descends in
expectation, and `dense` the slow references that the fast paths are tested against.
"""

from lrpilot.theory.greedy import average_gap_bound as average_gap_bound
from lrpilot.theory.greedy import greedy_lr as greedy_lr
from lrpilot.theory.greedy import lr_floor as lr_floor
from lrpilot.theory.greedy import safest_factor as safest_factor
from lrpilot.theory.line import descent_intervals as descent_intervals
from lrpilot.theory.line import descent_limit as descent_limit
from lrpilot.theory.line import gradient_line as gradient_line
from lrpilot.theory.line import line_polynomial as line_polynomial
from lrpilot.theory.linear import chebyshev_rate as chebyshev_rate
from lrpilot.theory.linear import chebyshev_steps as chebyshev_steps
from lrpilot.theory.linear import minibatch_smoothness as minibatch_smoothness
from lrpilot.theory.nmf import NMFBound as NMFBound
from lrpilot.theory.nmf import block_smoothness as block_smoothness
from lrpilot.theory.nmf import joint_smoothness as joint_smoothness
from lrpilot.theory.nmf import segment_bound as segment_bound
from lrpilot.theory.noise import ExpectedLine as ExpectedLine
from lrpilot.theory.noise import GradientMoments as GradientMoments
from lrpilot.theory.noise import noise_aware_bound as noise_aware_bound
