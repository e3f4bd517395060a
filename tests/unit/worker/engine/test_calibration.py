from __future__ import annotations

import numpy as np
import pytest

from worker.engine.calibration import (
    Calibration,
    expected_calibration_error,
    fit_sigmoid,
    fit_temperature,
    softmax,
)


def test_fit_temperature_finds_the_one_the_labels_were_drawn_with() -> None:
    random = np.random.default_rng(0)
    cosines = random.normal(0.85, 0.02, (20_000, 6))
    gold = np.array([random.choice(6, p=row) for row in softmax(cosines / 0.013)])

    temperature = fit_temperature([(cosines, gold)])

    assert temperature == pytest.approx(0.013, rel=0.05)
    assert expected_calibration_error(softmax(cosines / temperature), gold) < 0.02


def test_a_large_file_does_not_outvote_a_small_one() -> None:
    random = np.random.default_rng(1)

    def file(rows: int, temperature: float) -> tuple[np.ndarray, np.ndarray]:
        cosines = random.normal(0.85, 0.02, (rows, 4))
        return cosines, np.array([random.choice(4, p=row) for row in softmax(cosines / temperature)])

    small, large = file(3_000, 0.01), file(3_000, 0.03)
    ten_times = (np.repeat(large[0], 10, axis=0), np.repeat(large[1], 10))

    assert fit_temperature([small, large]) == pytest.approx(fit_temperature([small, ten_times]), rel=1e-3)


def test_fit_sigmoid_finds_the_line_between_right_and_wrong_labels() -> None:
    random = np.random.default_rng(2)
    # Lifts of right and wrong labels, normal and equally wide: the log-odds are linear, with the prior 1 : 1.
    right, wrong = (random.normal(mean, 0.02, 50_000) for mean in (0.05, 0.01))
    lifts = np.stack([right, wrong], axis=1)

    midpoint, width = fit_sigmoid([(lifts, np.zeros(len(lifts), np.intp))])

    assert midpoint == pytest.approx(0.03, abs=0.001)
    assert width == pytest.approx(0.02**2 / (0.05 - 0.01), rel=0.03)


def test_the_error_is_the_gap_between_confidence_and_accuracy() -> None:
    probabilities = np.tile([0.8, 0.2], (10, 1))

    assert expected_calibration_error(probabilities, np.array([0] * 8 + [1] * 2)) == pytest.approx(0.0)
    assert expected_calibration_error(probabilities, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.3)
    assert expected_calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0.0


def test_probabilities_are_finite_however_far_apart_the_cosines() -> None:
    calibration = Calibration(temperature=1e-3, midpoint=0.0, width=1e-3)
    cosines = np.array([[1.0, -1.0, 0.0]], np.float32)

    exclusive, independent = calibration.exclusive(cosines), calibration.independent(cosines)

    assert exclusive.dtype == independent.dtype == np.float32
    assert exclusive.tolist() == [[1.0, 0.0, 0.0]]
    assert independent.tolist() == [[1.0, 0.0, 0.5]]
