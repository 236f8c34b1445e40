"""The training loop: same weights however it is run, stopped and split."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from wood.runtime.errors import InputError
from wood.runtime.store import load_tensors
from wood.training import Training

SETTINGS = {
    "epochs": 3,
    "batch_size": 4,
    "lr": 0.1,
    "momentum": 0.9,
    "weight_decay": 1e-3,
    "power": 0.9,
}


class Points:
    """Twelve noisy points of a line; the noise is drawn anew each epoch."""

    def __len__(self):
        return 12

    def on_device(self, batch):
        return batch

    def example(self, index, rng):
        x = torch.tensor([index / 12, rng.normal()], dtype=torch.float32)
        return {"x": x, "y": torch.tensor([3 * index / 12], dtype=torch.float32)}


def squared_error(model, batch, progress):
    loss = (model(batch["x"]) - batch["y"]).square().mean()
    return loss, {"error": loss}


def train(folder, dataset=None, loss=squared_error, written=True, **changes):
    """Train a small network; unless `written`, the process ends before its result is on disk."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
    training = Training(
        model=model,
        dataset=dataset or Points(),
        loss=loss,
        groups=[{"params": list(model.parameters()), "lr_scale": 1.0}],
        settings={**SETTINGS, **changes},
        seed=1,
        checkpoint=folder / "checkpoint",
        log=folder / "log.jsonl",
    )
    training.run()
    if written:
        training.remove_checkpoint()
    return model.state_dict()


def equal(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


def test_workers_change_nothing(tmp_path):
    assert equal(train(tmp_path), train(tmp_path, workers=2))


def test_the_norm_of_the_whole_gradient_is_bounded(tmp_path):
    bound = 1e-3
    start = train(tmp_path, lr=0.0, epochs=1)
    moved = train(tmp_path, epochs=1, batch_size=12, momentum=0, weight_decay=0, clip_norm=bound)
    step = torch.cat([(moved[name] - start[name]).flatten() for name in start]).norm()
    assert step == pytest.approx(SETTINGS["lr"] * bound, rel=1e-3)


def test_the_loss_falls_and_every_iteration_is_logged(tmp_path):
    train(tmp_path, epochs=20)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == list(range(1, 61))
    assert lines[-1]["error"] < lines[0]["error"] / 2


def test_learning_rate_decays_polynomially_in_steps(tmp_path):
    train(tmp_path, update_lr_every=2)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    expected = [0.1 * (1 - step / 9) ** 0.9 for step in (0, 0, 2, 2, 4, 4, 6, 6, 8)]
    assert [line["lr"] for line in lines] == pytest.approx(expected)


class Stopping(Points):
    """Sends SIGTERM to its own process when it is asked for the last of `count` examples."""

    def __init__(self, count):
        self.asked, self.count = 0, count

    def example(self, index, rng):
        self.asked += 1
        if self.asked == self.count:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().example(index, rng)


@pytest.mark.parametrize("count", [18, 36])
def test_a_terminated_training_goes_on_to_the_same_weights_and_curve(tmp_path, count):
    """In the second epoch, and in the last iteration."""
    whole = train(tmp_path / "whole", ema=0.9)
    with pytest.raises(SystemExit) as stop:
        train(tmp_path / "stopped", dataset=Stopping(count), ema=0.9)
    assert stop.value.code == 143
    assert (tmp_path / "stopped" / "checkpoint").exists()
    resumed = train(tmp_path / "stopped", ema=0.9)
    assert equal(whole, resumed)
    curves = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "stopped")]
    assert curves[0] == curves[1]
    assert not (tmp_path / "stopped" / "checkpoint").exists()


class Spent(Points):
    """Points that nobody is to ask for any more."""

    def example(self, index, rng):
        raise AssertionError("The training has begun again.")


@pytest.mark.parametrize("ema", [0, 0.9])
def test_a_training_whose_result_was_not_written_begins_again_at_its_end(tmp_path, ema):
    first = train(tmp_path, written=False, ema=ema)
    curve = (tmp_path / "log.jsonl").read_bytes()
    (tmp_path / "log.jsonl").unlink()
    again = train(tmp_path, dataset=Spent(), ema=ema)
    assert equal(first, again)
    assert (tmp_path / "log.jsonl").read_bytes() == curve
    assert not (tmp_path / "checkpoint").exists()


def test_accumulation_equals_the_whole_batch(tmp_path):
    def no_dropout(model, batch, progress):
        model.eval()
        return squared_error(model, batch, progress)

    whole = train(tmp_path, loss=no_dropout)
    parts = train(tmp_path, loss=no_dropout, accumulate=2)
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], rtol=0, atol=1e-6)


def test_moving_average_follows_the_weights(tmp_path):
    assert not equal(train(tmp_path), train(tmp_path, ema=0.5))
    assert equal(train(tmp_path), train(tmp_path, ema=1e-12))


def test_fewer_images_than_a_batch_is_said(tmp_path):
    with pytest.raises(InputError, match=r"12 images .* batch holds 13"):
        train(tmp_path, batch_size=13)


def broken_at(iteration):
    """A loss that is not finite in one iteration alone."""
    done = []

    def loss(model, batch, progress):
        done.append(progress)
        value, terms = squared_error(model, batch, progress)
        return (value * np.nan if len(done) == iteration else value), terms

    return loss


@pytest.mark.parametrize(("iteration", "seconds"), [(3, 1e-9), (401, 120)])
def test_a_loss_between_two_lines_of_the_log_is_looked_at(tmp_path, iteration, seconds):
    """Before a checkpoint is kept, and after the last line, which is that of iteration 400."""
    changes = {"iterations": 401, "checkpoint_seconds": seconds}
    with pytest.raises(InputError, match=f"The loss is not finite at iteration {iteration} "):
        train(tmp_path, loss=broken_at(iteration), **changes)
    assert not (tmp_path / "log.jsonl").exists()
    kept = tmp_path / "checkpoint"
    assert load_tensors(kept)[1]["iteration"] == 2 if seconds < 1 else not kept.exists()


def test_weights_that_are_not_finite_are_not_kept(tmp_path):
    """Of a root of zero, the value is finite and the gradient is not."""

    def root(model, batch, progress):
        return (model(batch["x"]) * 0).sum().sqrt(), {}

    with pytest.raises(InputError, match="The weights are not finite after iteration 1: lower lr"):
        train(tmp_path, loss=root, iterations=1)
    assert not (tmp_path / "checkpoint").exists()


class Broken(Points):
    """Points of which one cannot be read."""

    def example(self, index, rng):
        if index == 7:
            raise InputError("7.png: not a readable image.")
        return super().example(index, rng)


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_input_has_its_own_sentence_whichever_process_reads_it(tmp_path, workers):
    with pytest.raises(InputError) as raised:
        train(tmp_path, dataset=Broken(), workers=workers)
    assert str(raised.value) == "7.png: not a readable image."


def test_a_loss_that_is_not_finite_stops_the_training(tmp_path):
    def broken(model, batch, progress):
        return model(batch["x"]).mean() * np.inf, {}

    with pytest.raises(InputError, match="not finite at iteration 1 "):
        train(tmp_path, loss=broken)
