"""Training with shared bits: Algorithm 1 on the residual digits, Lambda learned.

A kind of MemberWeight (Bits-Ensemble, Section III, as corrected in the project's design notes). The
forward pass computes what the file holds; Lambda learns from what toggling a cut would do.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from edgeens.torch.digits import WEIGHT4, reach_of, share_codes
from edgeens.torch.package import nn, torch
from edgeens.torch.paper_sharing import paper_means
from edgeens.torch.shared_function import Rate, Sample, SharedWeights, by_position, shared_parts
from edgeens.torch.uniform import Per, UniformWeight, coded_factor, fit_scale, round_to_codes
from edgeens.torch.weights import CodedFactor

Surrogate = Literal["exact", "paper"]

BITS = 8
# What Lambda learns from: at least so many positions of a channel, if it has them.
_LEAST_SAMPLE = 64


class SharedWeight(UniformWeight):
    """8-bit weights whose residual digits are shared where they are close (Bits-Ensemble Alg. 1).

    A code is n = 85 a + 17 b + c. At each position the members' b, then what is left as c, are
    sorted and cut where a gap is greater than Lambda; each run gets its mean. Lambda belongs to an
    output channel and a level. The gradient passes straight through to the weights.
    """

    roles: ClassVar[dict[str, str]] = {"lambda4": "lambda", "lambda8": "lambda"}

    def __init__(
        self,
        values: torch.Tensor,
        *,
        grid: Per,
        levels: int,
        lambda4: float,
        lambda8: float,
        learned: bool,
        lambda_parts: int,
        temperature: float,
        surrogate: Surrogate,
        sigma: float,
    ) -> None:
        """Start from *values*, (K, channels, ...); options as in torch.methods.shared."""
        super().__init__(values, bits=BITS, grid=grid)
        channels = values.shape[1]
        self.lambda4 = nn.Parameter(values.new_full((channels,), lambda4), requires_grad=learned)
        self.lambda8: nn.Parameter | None = None
        if levels == 3:
            start = values.new_full((channels,), lambda8)
            self.lambda8 = nn.Parameter(start, requires_grad=learned)
        self.learned = learned
        each = int(values[0, 0].numel())
        self.lambda_parts = max(1, min(lambda_parts, each // _LEAST_SAMPLE))
        self.temperature = temperature
        self.surrogate = surrogate
        self.sigma = sigma
        # Of the last pass in training: versions of the parameters, the rate, its slopes in Lambda.
        self._last_rate: tuple[tuple[int, ...], torch.Tensor, torch.Tensor] | None = None

    def factors(self) -> dict[str, torch.Tensor]:
        """Scale times shared code, float32; in training with the paper's surrogate near it."""
        scale = fit_scale(self.values.detach(), bits=BITS, grid=self.grid)
        if self.surrogate == "paper" and self.training:
            return {"weight": self._by_the_paper(scale)}
        return {"weight": self._shared(scale, with_rate=self.training)}

    @torch.no_grad()
    def coded(self) -> dict[str, CodedFactor]:
        """The shared codes that the evaluation pass computes with."""
        scale = fit_scale(self.values, bits=BITS, grid=self.grid)
        codes = torch.empty(self.values.shape, dtype=torch.int8, device=self.values.device)
        flat = codes.flatten(1)
        for part, shared, _ in shared_parts(self.values, scale, self.lambda4, self.lambda8):
            flat[:, part] = shared.codes
        return {"weight": coded_factor(codes, scale, bits=BITS)}

    def rate(self) -> torch.Tensor | None:
        """Expected bits of the shared levels, summed over positions, divided by K.

        E[clusters] * log2(alphabet) / K a position and level, with E[clusters] = 1 + sum over gaps
        above 0 of sigma((delta - Lambda) / T). Moves Lambda alone; None if Lambda is fixed. Made
        with the weights, so it costs nothing after a forward pass in training.
        """
        if not self.learned:
            return None
        if self._last_rate is None or self._last_rate[0] != self._versions():
            scale = fit_scale(self.values.detach(), bits=BITS, grid=self.grid)
            self._shared(scale, with_rate=True)
        assert self._last_rate is not None
        rate: torch.Tensor = Rate.apply(self.lambda4, self.lambda8, *self._last_rate[1:])
        return rate

    def _shared(self, scale: torch.Tensor, *, with_rate: bool) -> torch.Tensor:
        """Scale times shared code; *with_rate* keeps the rate for who asks next."""
        weights, *rate = SharedWeights.apply(
            self.values,
            scale,
            self.lambda4,
            self.lambda8,
            self.temperature,
            self._sample() if self.learned else None,
            with_rate,
        )
        if self.learned and with_rate:
            self._last_rate = (self._versions(), *rate)
        return weights

    def _sample(self) -> Sample:
        """One of the parts of a channel's positions, drawn anew each time."""
        if self.lambda_parts == 1:
            return Sample(slice(None), 1)
        each = -(-int(self.values[0, 0].numel()) // self.lambda_parts)
        start = each * int(torch.randint(self.lambda_parts, ()))
        return Sample(slice(start, start + each), self.lambda_parts)

    def _versions(self) -> tuple[int, ...]:
        """Changes whenever an optimizer changes what the rate is made of."""
        lambda8 = 0 if self.lambda8 is None else int(self.lambda8._version)
        return int(self.values._version), int(self.lambda4._version), lambda8

    def _by_the_paper(self, scale: torch.Tensor) -> torch.Tensor:
        """The printed relaxation: its value is off the grid, its gradient the chain rule's."""
        codes = round_to_codes(self.values.detach(), scale, bits=BITS).flatten(1)
        lambda4 = by_position(self.lambda4, self.values)
        lambda8 = None if self.lambda8 is None else by_position(self.lambda8, self.values)
        reach8 = None if lambda8 is None else reach_of(lambda8)
        hard = share_codes(codes.clone(), reach_of(lambda4), reach8)
        options = {"temperature": self.temperature, "sigma": self.sigma}
        means4 = paper_means(hard.digits4.float(), lambda4, **options)
        joined = ((codes - hard.digits4.float() * 17) * (1 / 85)).round() * 85 + WEIGHT4 * means4
        if hard.digits8 is not None and lambda8 is not None:
            joined = joined + paper_means(hard.digits8.float(), lambda8, **options)
        straight: torch.Tensor = self.values - self.values.detach()
        return joined.reshape(self.values.shape) * scale + straight
