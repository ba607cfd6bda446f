"""How large an LR may be: bounds, what they are made of, and guards to use them, each with its proof or source.

- `nmf`: smoothness bounds of matrix factorisation; `line`: its loss along a step, exactly; `noise`: expected descent
  when only a noisy gradient is known; `spectral`: certified singular values, fast enough for every step.
- `linear`: mini-batch SGD on linearised networks, where the Hessian never changes; Chebyshev's step sizes.
- `curvature`, `lanczos`, `sharpness`, `cdat`: Hessian products, eigenvalues and edges of any torch model; `ntk`: the
  finite-width neural tangent kernel; `two_layer`: a rate for two-layer linear networks; `guards`: `bound=` callables.
- `greedy`: what can be proved of GreedyLR. `dense`: the slow references that the fast paths are tested against.

The functions `sharpness` and `ntk` have the names of their modules: `from lrpilot.theory.sharpness import sharpness`.
"""

from lrpilot.theory.cdat import cdat_lr as cdat_lr
from lrpilot.theory.curvature import gradient_and_hessian as gradient_and_hessian
from lrpilot.theory.curvature import slope_and_curvature as slope_and_curvature
from lrpilot.theory.greedy import average_gap_bound as average_gap_bound
from lrpilot.theory.greedy import greedy_lr as greedy_lr
from lrpilot.theory.greedy import lr_floor as lr_floor
from lrpilot.theory.greedy import safest_factor as safest_factor
from lrpilot.theory.guards import batch_sharpness_bound as batch_sharpness_bound
from lrpilot.theory.guards import ntk_bound as ntk_bound
from lrpilot.theory.lanczos import largest_eigenvalue as largest_eigenvalue
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
from lrpilot.theory.ntk import critical_lr as critical_lr
from lrpilot.theory.ntk import ntk_norm as ntk_norm
from lrpilot.theory.sharpness import batch_sharpness as batch_sharpness
