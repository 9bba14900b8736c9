"""The networks: past and future segments go through one backbone, the future ones come out as quantiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tsf.learn.naives import Naives, stillness
from tsf.params import ModelType

__all__ = ["Ensemble", "Network", "Shape", "Window"]

LARGEST = 20.0  # inputs are cut here, in scaled units
CONVOLVED = 3  # segments under a convolution
BEST_FIRST = 6.0  # at the start a naive forecast weighs as its error to the power of minus this
RARELY = -6.0  # at the start a quantile is held to the last value by at least the logistic function of this


class Window(NamedTuple):
    """B scaled contexts of L steps and what is known of the H steps after them.

    values: (B, L), 0 where missing. seen: (B, L), 1 where not missing. extras: (B, L, E) derived inputs, covariates
    with their masks, and fullness. calendar: (B, L + H, F). labels: (B, D) indices, 0 for unknown.
    """

    values: Tensor
    seen: Tensor
    extras: Tensor
    calendar: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Shape:
    """Sizes of one network; `labels` holds the number of known values per label."""

    model_type: ModelType
    context: int
    horizon: int
    past_segment: int
    segment: int
    seasons: tuple[int, ...]
    extras: int
    calendar: int
    labels: tuple[int, ...]
    levels: tuple[float, ...]
    width: int
    num_layers: int
    nhead: int
    dropout: float

    @property
    def past_count(self) -> int:
        """Segments in the context."""
        return -(-self.context // self.past_segment)

    @property
    def future_count(self) -> int:
        """Segments in the horizon."""
        return -(-self.horizon // self.segment)


class Recurrent(nn.Module):
    """LSTM or GRU over all segments, the future ones last."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        cell = nn.GRU if shape.model_type == "gru" else nn.LSTM
        dropout = shape.dropout if shape.num_layers > 1 else 0.0
        self.cell = cell(shape.width, shape.width, shape.num_layers, batch_first=True, dropout=dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        out: Tensor = self.cell(tokens)[0]
        return tokens + out


class Convolved(nn.Module):
    """An LSTM over what a convolution sees in each segment and the two before it."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.filters = nn.Conv1d(shape.width, shape.width, CONVOLVED)
        self.recurrent = Recurrent(shape)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        padded = nn.functional.pad(tokens.transpose(1, 2), (CONVOLVED - 1, 0))
        out: Tensor = self.recurrent(tokens + nn.functional.gelu(self.filters(padded)).transpose(1, 2))
        return out


class Attentive(nn.Module):
    """An LSTM whose states of the future segments look back at those of all segments."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.future_count = shape.future_count
        self.recurrent = Recurrent(shape)
        self.norm = nn.LayerNorm(shape.width)
        self.look = nn.MultiheadAttention(shape.width, shape.nhead, shape.dropout, batch_first=True)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        states: Tensor = self.recurrent(tokens)
        seen = self.norm(states)
        found: Tensor = self.look(seen[:, -self.future_count :], seen, seen, need_weights=False)[0]
        return torch.cat([states[:, : -self.future_count], states[:, -self.future_count :] + found], dim=1)


class Transformer(nn.Module):
    """An encoder over all segments; the future ones look at the past and at each other."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(shape.past_count + shape.future_count, shape.width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            shape.width, shape.nhead, 2 * shape.width, shape.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, shape.num_layers, nn.LayerNorm(shape.width), False)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, M, W) -> (B, M, W)."""
        out: Tensor = self.encoder(tokens + self.position)
        return out


BACKBONES: dict[ModelType, Callable[[Shape], nn.Module]] = {
    "lstm": Recurrent,
    "gru": Recurrent,
    "transformer": Transformer,
    "cnn_lstm": Convolved,
    "attention": Attentive,
}


class Quantiles(nn.Module):
    """Quantiles around a forecast: each is moved from it, then held to the last value as far as that pays.

    The two are learnt apart, as no correction is exact: where a series stands still, the middle of the distribution is
    its last value, while the tails are free.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.move = nn.Linear(shape.width, shape.segment * len(shape.levels))
        self.hold = nn.Linear(shape.width, shape.segment * len(shape.levels))
        for part in (self.move, self.hold):
            nn.init.normal_(part.weight, std=0.01)

    def forward(self, states: Tensor, forecast: Tensor, last: Tensor, unit: Tensor) -> Tensor:
        """States (B, M, W), forecast (B, H, 1), last value and unit of the moves (B, 1, 1) -> (B, H, Q)."""
        moved = forecast + unit * _steps(self.move(states), self.shape)
        return last + torch.sigmoid(-_steps(self.hold(states), self.shape)) * (moved - last)

    def start_from(self, targets: Tensor, forecast: Tensor, last: Tensor, unit: Tensor) -> None:
        """Set the biases so that the quantiles are those of these targets: (B, H), (B, H), (B, 1), (B, 1)."""
        levels = torch.tensor(self.shape.levels, device=targets.device)
        wrong, stale = (
            ((targets - way) / unit).abs().clamp(max=LARGEST).nanmean(0).nan_to_num(1.0) for way in (forecast, last)
        )
        both = _by_place(torch.stack([wrong, stale], dim=1), self.shape).clamp(min=1e-6).log()  # (segment, 2)
        hold = (BEST_FIRST * (both[:, :1] - both[:, 1:])).clamp(RARELY, 0.0)
        self.hold.bias.copy_(hold.expand(-1, len(levels)).flatten())
        free = torch.sigmoid(-hold[torch.arange(self.shape.horizon, device=hold.device) % self.shape.segment, 0])
        needed = ((last + (targets - last) / free - forecast) / unit).clamp(-LARGEST, LARGEST)
        spread = torch.nanquantile(needed, levels, dim=0).T.nan_to_num(0.0)  # (H, Q)
        self.move.bias.copy_(_by_place(spread, self.shape).flatten())


class Network(nn.Module):
    """Quantiles of each future step, and of the running maximum up to it, around a mix of naive forecasts.

    The context is cut into segments; each becomes one token, as does each future segment (its calendar and naive
    forecasts). One backbone reads the tokens in time order; the future ones give, per step, the weights of the mix and
    the moves of the quantiles, in units of the error that the best naive forecast made inside the context.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.naives = Naives(shape.context, shape.horizon, shape.segment, shape.seasons)
        width, kinds = shape.width, len(self.naives.kinds)
        self.past = nn.Linear(shape.past_segment * (2 + shape.extras) + 2 * shape.calendar, width)
        self.future = nn.Linear(shape.segment * kinds + 2 * shape.calendar, width)
        self.errors = nn.Linear(len(self.naives.lags) + 2, width, bias=False)  # and the two of stillness
        self.labels = nn.ModuleList(nn.Embedding(count + 1, width) for count in shape.labels)
        self.dropout = nn.Dropout(shape.dropout)
        self.backbone = BACKBONES[shape.model_type](shape)
        self.mix = nn.Linear(width, shape.segment * kinds)
        self.trust = nn.Parameter(torch.ones(kinds))  # how much an error inside the context counts against a forecast
        self.steps, self.peaks = Quantiles(shape), Quantiles(shape)
        self.typical: Tensor
        self.register_buffer("typical", torch.zeros(len(self.naives.lags)))
        for head in (self.mix, *self.labels):
            nn.init.normal_(head.weight, std=0.01)

    @torch.no_grad()
    def start_from(self, window: Window, targets: Tensor, peaks: Tensor) -> None:
        """Set the biases so that training begins at the calibrated mix of naive forecasts that fits these windows.

        targets, peaks: (B, H) scaled, NaN where unknown.
        """
        naives = self.naives(window.values, window.seen)
        self.typical.copy_(self.naives.errors(window.values, window.seen).nanmean(0).nan_to_num(0.0))
        errors, unit = self._gauge(window)
        away = ((targets[..., None] - naives) / unit).abs().clamp(max=LARGEST)
        weights = -BEST_FIRST * _by_place(away.nanmean(0).nan_to_num(1.0), self.shape).clamp(min=1e-6).log()
        self.mix.bias.copy_((weights - weights.amax(1, keepdim=True)).flatten())
        states = torch.zeros(len(naives), self.shape.future_count, self.shape.width, device=naives.device)
        base = (self._weights(states, errors) * naives).sum(2)
        for head, wanted, way in ((self.steps, targets, base), (self.peaks, peaks, base.cummax(1).values)):
            head.start_from(wanted, way, naives[:, 0, :1], unit[..., 0])

    def _gauge(self, window: Window) -> tuple[Tensor, Tensor]:
        """(B, K) errors inside the context against typical ones, and (B, 1, 1) the unit of corrections."""
        errors = self.naives.errors(window.values, window.seen)
        errors = torch.where(errors.isnan(), self.typical, errors)
        return errors - self.typical, errors.amin(1).exp()[:, None, None]

    def _weights(self, states: Tensor, errors: Tensor) -> Tensor:
        """(B, H, C), 1 in sum along C."""
        against = self.trust * errors[:, self.naives.kinds]  # (B, C)
        weights: Tensor = (_steps(self.mix(states), self.shape) - against[:, None]).softmax(2)
        return weights

    def _tokens(self, window: Window, naives: Tensor, errors: Tensor) -> Tensor:
        """(B, M, W): the past segments, oldest first, then the future ones."""
        shape, device = self.shape, naives.device
        errors = torch.cat([errors, stillness(window.values, window.seen)], dim=1)
        past = torch.cat([window.values[..., None], window.seen[..., None], window.extras], dim=2)
        ends = shape.context - shape.past_segment * torch.arange(shape.past_count - 1, -1, -1, device=device)
        starts = shape.context + shape.segment * torch.arange(shape.future_count, device=device)
        past = _segments(past, shape.past_count, shape.past_segment, at_front=True)
        future = _segments(naives, shape.future_count, shape.segment, at_front=False)
        past = torch.cat([past, _clock(window.calendar, ends - shape.past_segment, ends - 1)], dim=2)
        future = torch.cat([future, _clock(window.calendar, starts, starts + shape.segment - 1)], dim=2)
        tokens: Tensor = torch.cat([self.past(past), self.future(future)], dim=1) + self.errors(errors)[:, None]
        for number, embedding in enumerate(self.labels):
            tokens = tokens + embedding(window.labels[:, number])[:, None]
        return tokens

    def forward(self, window: Window) -> tuple[Tensor, Tensor]:
        """Scaled quantiles, increasing along the last axis: of the steps and of their running maximum, (B, H, Q)."""
        naives = self.naives(window.values, window.seen)  # (B, H, C)
        errors, unit = self._gauge(window)
        states = self.backbone(self.dropout(self._tokens(window, naives, errors)))
        states = self.dropout(states[:, -self.shape.future_count :])
        base = (self._weights(states, errors) * naives).sum(2, keepdim=True)  # (B, H, 1)
        last, ceiling = naives[:, :1, :1], base.detach().cummax(1).values
        steps = self.steps(states, base, last, unit).sort(dim=2).values
        peaks = self.peaks(states, ceiling, last, unit).cummax(1).values.sort(dim=2).values
        return steps, peaks


def _steps(flat: Tensor, shape: Shape) -> Tensor:
    """(B, M, segment * X) -> (B, H, X)."""
    steps = flat.reshape(len(flat), shape.future_count * shape.segment, -1)
    return steps[:, : shape.horizon]


def _by_place(table: Tensor, shape: Shape) -> Tensor:
    """(H, X) -> (segment, X): the mean over the segments, per place in the segment."""
    size = shape.segment
    return torch.stack([table[min(place, len(table) - 1) :: size].mean(0) for place in range(size)])


def _segments(steps: Tensor, count: int, size: int, *, at_front: bool) -> Tensor:
    """(B, T, X) -> (B, count, size * X); zeros fill the first segment in front or the last one behind."""
    missing = count * size - steps.shape[1]
    filled = nn.functional.pad(steps, (0, 0, missing, 0) if at_front else (0, 0, 0, missing))
    return filled.clamp(-LARGEST, LARGEST).reshape(len(steps), count, -1)


def _clock(calendar: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """(B, T, F) -> (B, M, 2 F): the calendar of the first and the last step of M segments."""
    top = calendar.shape[1] - 1
    return torch.cat([calendar[:, first.clamp(0, top)], calendar[:, last.clamp(0, top)]], dim=2)


class Ensemble(nn.Module):
    """Networks of one shape that start and train differently; their quantiles are averaged."""

    def __init__(self, shape: Shape, count: int) -> None:
        super().__init__()
        self.networks = [Network(shape) for _ in range(count)]
        self.members = nn.ModuleList(self.networks)

    def forward(self, window: Window) -> tuple[Tensor, Tensor]:
        """As `Network.forward`."""
        steps, peaks = zip(*(network(window) for network in self.networks), strict=True)
        return torch.stack(steps).mean(0), torch.stack(peaks).mean(0)
