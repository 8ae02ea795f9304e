"""Square roots that are the same on CPUs of all makers.

On x86-64 torch leaves ``sqrt`` to MKL, which refines what the CPU's own approximation of ``1/√x``
gives. Makers approximate differently, and no setting of MKL changes that: on an AMD EPYC 16 % of
float32 roots are off by the last bit. IEEE 754 (2019, section 5.4.1) has one right answer, which
the CPU's instruction for roots gives, and NumPy uses that.

Adam and its like divide by roots in each update, so a run of theirs differed from maker to maker.
"""

from typing import Any

import numpy as np

_library: Any = None  # keeps torch to these functions for as long as it lives


def round_square_roots() -> None:
    """Let torch's roots on the CPU be correctly rounded, in this process from now on."""
    global _library
    if _library is not None:
        return
    import torch
    from torch import Tensor

    def into(x: Tensor, out: Tensor) -> Tensor:
        if not (out.is_floating_point() or out.is_complex()):
            raise RuntimeError(f"a root cannot be put into a tensor of {out.dtype}")
        if out.shape != x.shape:
            out.resize_(x.shape)
        with np.errstate(invalid="ignore"):
            if x.dtype == out.dtype and x.dtype in (torch.float32, torch.float64):
                np.sqrt(x.detach().numpy(), out=out.detach().numpy())
            else:
                out.copy_(rounded(x))
        return out

    def rounded(x: Tensor) -> Tensor:
        if x.is_complex() or x.dtype in (torch.float32, torch.float64):
            with np.errstate(invalid="ignore"):
                return torch.from_numpy(np.asarray(np.sqrt(x.detach().numpy())))
        wide = rounded(x.float())
        return wide.to(x.dtype) if x.is_floating_point() else wide

    library = torch.library.Library("aten", "IMPL")
    library.impl("sqrt", lambda x: into(x, torch.empty_like(x)) if x.is_floating_point()
                 else rounded(x), "CPU")  # fmt: skip
    library.impl("sqrt_", lambda x: into(x, x), "CPU")
    library.impl("sqrt.out", lambda x, *, out: into(x, out), "CPU")
    _library = library
