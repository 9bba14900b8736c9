import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from tests.learn.conftest import daily_waves, series_of, small_params
from tsf.learn.features import label_indices
from tsf.learn.windows import Windows, _derived

CPU = torch.device("cpu")


def windows_of(values: np.ndarray, samples: int = 1, **parts: object) -> Windows:
    params = small_params(sequence_length=4, prediction_steps=3, breach_samples=samples)
    return Windows.of(series_of(values, **parts), params, {}, (), CPU)


def test_a_window_ends_at_its_origin_and_its_targets_follow():
    windows = windows_of(np.arange(10.0)[None] + 1)
    at = torch.tensor([0]), torch.tensor([5])
    window, scale = windows.gather(*at)
    assert scale.unscaled(window.values)[0].tolist() == pytest.approx([3, 4, 5, 6], rel=1e-6)
    assert windows.targets(*at)[0].tolist() == [[7, 8, 9]]


def test_steps_before_the_first_one_are_missing():
    window, _ = windows_of(np.arange(10.0)[None] + 1).gather(torch.tensor([0]), torch.tensor([1]))
    assert window.seen.tolist() == [[0, 0, 1, 1]]
    assert window.values[0, :2].tolist() == [0, 0]


def test_the_running_maximum_is_that_of_the_least_of_several_samples_in_a_row():
    values, at = np.array([[1.0, 1, 1, 5, 9, 2, 8]]), (torch.tensor([0]), torch.tensor([3]))
    assert windows_of(values).targets(*at)[1].tolist() == [[9, 9, 9]]
    assert windows_of(values, 2).targets(*at)[1].tolist() == [[5, 5, 5]]


def test_a_missing_sample_breaks_a_run_and_leaves_the_maximum_unknown_until_one_is_complete():
    windows = windows_of(np.array([[1.0, 1, 1, 5, np.nan, 2, 8]]), 2)
    peaks = windows.targets(torch.tensor([0]), torch.tensor([3]))[1][0]
    assert peaks[:2].isnan().all()
    assert peaks[2] == 2


def test_the_future_does_not_enter_a_window():
    values = daily_waves(3)
    other = values.copy()
    other[:, 101:] = 7.0
    at = torch.arange(3), torch.full((3,), 100)
    (first, one), (second, two) = windows_of(values).gather(*at), windows_of(other).gather(*at)
    assert all(torch.equal(a, b) for a, b in zip((*first, *one), (*second, *two), strict=True))


def test_scaling_and_back_gives_the_value_again():
    values = np.array([[1e-9, 2e-9, 3e-9, 9e-9], [1e18, 3e18, 2e18, 4e18], [-5.0, 5.0, 1.0, 2.0]])
    window, scale = windows_of(values).gather(torch.arange(3), torch.full((3,), 3))
    assert scale.unscaled(window.values).numpy() == pytest.approx(values, rel=1e-5, abs=1e-14)


def test_unknown_and_absent_labels_take_the_slot_zero():
    series = series_of(np.ones((3, 5)))
    indices = label_indices(series, {"user": ("user0", "user2"), "zone": ("a",)})
    assert indices.tolist() == [[1, 0], [0, 0], [2, 0]]


def test_a_limit_is_carried_through_its_gaps():
    limit = np.array([[np.nan, 2.0, np.nan, 3.0]])
    windows = windows_of(np.ones((1, 4)), limit=limit)
    assert windows.limit is not None
    assert windows.limit[0, -3:].tolist() == [2.0, 2.0, 3.0]


def test_a_burst_out_of_a_quiet_context_is_scaled_to_its_order_of_magnitude_and_back():
    _, scale = windows_of(np.array([[10.0, 10.1, 9.9, 10.0]])).gather(torch.tensor([0]), torch.tensor([3]))
    bursts = torch.tensor([[10.0, 11.0, 20.0, 50.0, -50.0]], dtype=torch.float64)
    scaled = scale.scaled(bursts)
    assert scaled.abs().max() < 30
    assert (scaled[0, :4].diff() > 0).all()
    assert scale.unscaled(scaled).numpy() == pytest.approx(bursts.numpy(), rel=1e-9)


def test_nothing_grows_beyond_five_times_what_the_context_holds() -> None:
    _, scale = windows_of(np.array([[10.0, 10.1, 9.9, 10.0]])).gather(torch.tensor([0]), torch.tensor([3]))
    found = scale.unscaled(scale.scaled(torch.tensor([[900.0, -900.0]], dtype=torch.float64)))
    assert found.numpy() == pytest.approx(np.array([[50.5, -50.5]]), rel=1e-9)


def test_rate_and_burst_are_inputs_of_the_window_before_all_others():
    values = np.array([[5.0, 5, 7, 6, 10, 4, 4]])
    params = small_params(sequence_length=6, prediction_steps=1, derived=("rate", "burst"))
    windows = Windows.of(series_of(values, limit=np.full(values.shape, 20.0)), params, {}, (), CPU)
    window, _ = windows.gather(torch.tensor([0]), torch.tensor([6]))
    scaled, (rate, burst) = window.values[0], window.extras[0, :, :2].T
    assert window.extras.shape == (1, 6, 4)
    assert rate.tolist() == pytest.approx([0, *scaled.diff().tolist()], abs=1e-6)
    assert burst.tolist() == pytest.approx([0, *[float(rate[1])] * 2, *[float(rate[3])] * 3], abs=1e-6)


@given(
    st_numpy.arrays(np.float64, (2, 9), elements=st.floats(-9, 9) | st.just(np.nan)), st.integers(1, 9),
)  # fmt: skip
def test_a_burst_is_the_largest_rise_between_two_known_steps_of_the_last_day(values, day):
    rate, burst = (made.numpy() for made in _derived(torch.tensor(values), ("rate", "burst"), day))
    changes = np.nan_to_num(np.diff(values, axis=1, prepend=values[:, :1]))
    assert np.array_equal(rate, changes)
    largest = [np.maximum(changes, 0)[:, max(0, step - day + 1) : step + 1].max(1) for step in range(9)]
    assert np.array_equal(burst, np.stack(largest, 1))
