"""Pruning removes what it says; distillation learns from the teacher and from nothing else."""

import time

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from cvprod import surface
from cvprod.models.augment import coarse, fade
from cvprod.optimize import distill, prune
from cvprod.optimize.distill import FAINTEST, TEXTURES, TrainingSet, ask, faded, fit, kd_loss
from cvprod.optimize.student import student, widths


@pytest.mark.parametrize("amount", [0.0, 0.5, 0.9])
def test_magnitude_zeroes_the_smallest_and_keeps_the_rest(amount):
    torch.manual_seed(0)
    model = student(16, (16, 16), (16, 16))
    sparse = prune.magnitude(model, amount)
    assert prune.sparsity(sparse) == pytest.approx(amount, abs=1e-3)
    pairs = [(a.weight, b.weight) for a, b in zip(_layers(model), _layers(sparse), strict=True)]
    kept = torch.cat([a[b != 0].abs() for a, b in pairs])
    gone = torch.cat([a[b == 0].abs() for a, b in pairs])
    assert all(torch.equal(a[b != 0], b[b != 0]) for a, b in pairs)
    assert not len(gone) or gone.max() <= kept.min()
    assert prune.sparsity(model) == 0  # a copy


def _layers(model):
    return [m for m in model.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]


def test_zeros_pay_only_after_compression():
    model = student(16, (16, 16), (16, 16))
    sparse = prune.magnitude(model, 0.8)
    assert prune.state_bytes(sparse) == pytest.approx(prune.state_bytes(model), rel=0.01)
    assert prune.state_bytes(sparse, compressed=True) < 0.6 * prune.state_bytes(model, compressed=True)


@pytest.mark.parametrize("ratio", [0.25, 0.5])
def test_channels_are_really_gone(ratio):
    torch.manual_seed(0)
    model = student()
    smaller = prune.channels(model, ratio)
    before, after = widths(model), widths(smaller)
    for wide, narrow in zip(
        (*before["hidden"], *before["outputs"]), (*after["hidden"], *after["outputs"]), strict=True
    ):
        assert narrow % 8 == 0 and narrow == pytest.approx(wide * (1 - ratio), abs=8)
    assert smaller(torch.zeros(2, 1, 96, 96)).shape == (2, 7)
    assert prune.state_bytes(smaller) < (1 - ratio) * prune.state_bytes(model)


def test_a_dead_channel_goes_first():
    torch.manual_seed(0)
    model = student(16, (16,), (16,))
    block = model.body.blocks[0]
    with torch.no_grad():
        for dead in range(8):  # without weights, scale or influence
            block.reduce[0].weight[dead] = block.reduce[1].weight[dead] = block.reduce[1].bias[dead] = 0
            block.expand[0].weight[:, dead] = 0
    smaller = prune.channels(model, 0.5)
    torch.testing.assert_close(smaller.body.blocks[0].reduce[1].weight, block.reduce[1].weight[8:])


@pytest.mark.parametrize("function", [prune.magnitude, prune.channels])
def test_taking_everything_is_refused(function):
    with pytest.raises(ValueError, match="share"):
        function(student(16, (16,), (16,)), 1.0)


def test_kd_loss_is_zero_at_the_teacher_and_cross_entropy_without_one():
    logits, labels = torch.randn(6, 7), torch.arange(6)
    assert kd_loss(logits, logits + 3, labels, alpha=1.0).item() == pytest.approx(0, abs=1e-5)
    plain = kd_loss(logits, torch.randn(6, 7), labels, alpha=0.0)
    torch.testing.assert_close(plain, F.cross_entropy(logits, labels))


def test_kd_gradient_keeps_its_size_at_a_high_temperature():
    """Hinton, section 2.1: for high temperatures the gradient tends to (z - v) / N, whatever T is."""
    z, v, labels = torch.randn(4, 7, dtype=torch.double), torch.randn(4, 7, dtype=torch.double), torch.zeros(4).long()
    z, v = z - z.mean(1, keepdim=True), v - v.mean(1, keepdim=True)
    z.requires_grad_()
    kd_loss(z, v, labels, temperature=1e3, alpha=1.0).backward()
    torch.testing.assert_close(z.grad, (z - v).detach() / 7 / 4, rtol=1e-2, atol=1e-4)


@pytest.mark.parametrize(("temperature", "alpha"), [(0, 0.5), (1, 1.5)])
def test_kd_loss_refuses_nonsense(temperature, alpha):
    with pytest.raises(ValueError, match="temperature"):
        kd_loss(torch.zeros(1, 7), torch.zeros(1, 7), torch.zeros(1).long(), temperature=temperature, alpha=alpha)


def _easy(n=96):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, n)
    images = (rng.integers(0, 60, (n, 1, 96, 96)) + 150 * labels[:, None, None, None]).astype(np.uint8)
    return images, labels.astype(np.int64)


def test_fit_learns_and_repeats_itself():
    images, labels = _easy()

    def run():
        torch.manual_seed(0)
        model = student(16, (16,), (16,))
        return model, fit(model, TrainingSet(images, labels), steps=12, batch=32, lr=1e-2).losses

    (model, first), (_, second) = run(), run()
    assert np.mean(first[-3:]) < 0.5 * first[0] and first == second and not model.training


def test_the_teacher_outweighs_wrong_labels():
    images, labels = _easy()
    teacher = np.full((len(labels), 7), -8.0, np.float32)
    teacher[np.arange(len(labels)), labels] = 8.0
    torch.manual_seed(0)
    model = student(16, (16,), (16,))
    fit(model, TrainingSet(images, 1 - labels, teacher), steps=25, batch=32, lr=1e-2)
    answers = ask(lambda x: model(torch.from_numpy(x)).detach().numpy(), images).argmax(1)
    assert (answers == labels).mean() > 0.9


def test_fading_takes_detail_and_leaves_light_and_shade():
    images = torch.from_numpy(surface.make_set(6, 3).images).float()
    assert torch.allclose(coarse(torch.full((1, 1, 40, 50), 90.0)), torch.tensor(90.0))
    assert torch.equal(fade(images, 1.0), images)
    faint = fade(images, 0.25)
    assert torch.allclose(faint.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1.0)
    assert (faint - coarse(faint)).std() < 0.4 * (images - coarse(images)).std()
    assert torch.equal(faint, faint.round()) and fade(images[:0], 0.5).shape == (0, 1, 96, 96)


def test_textures_alone_are_shown_fainter():
    tiles = surface.make_set(140, 4)
    images, labels = torch.from_numpy(tiles.images), torch.from_numpy(tiles.labels)
    copies, of = faded(images, labels, 0.5, torch.Generator().manual_seed(0))
    texture = torch.tensor([surface.CLASSES[label] in TEXTURES for label in tiles.labels])
    assert texture[of].all() and 0.3 < len(of) / int(texture.sum()) < 0.7 and copies.dtype == torch.float32
    detail = [(x - coarse(x)).std((1, 2, 3)) for x in (copies, images[of].float())]
    assert (detail[0] < 1.02 * detail[1]).all() and (detail[0] > 0.8 * FAINTEST * detail[1]).all()
    assert torch.equal(images, torch.from_numpy(tiles.images))


@pytest.mark.parametrize("teacher", [True, False])
def test_what_is_faint_says_nothing_about_clean(teacher, monkeypatch):
    """Where plain tiles have no say, the row of ``clean`` in the head stays as it was."""
    monkeypatch.setattr(distill, "kd_loss", lambda logits, said, truth, **_: _defects(logits, truth))
    monkeypatch.setattr(distill.F, "cross_entropy", lambda logits, truth: _defects(logits, truth))
    torch.manual_seed(0)
    model, tiles = student(8, (8, 8), (8, 8)), surface.make_set(40, 5, prior={"pitted_surface": 1})
    logits = np.random.default_rng(0).normal(0, 3, (40, 7)).astype(np.float32) if teacher else None
    before = model.body[-1].weight.detach().clone()
    lesson = TrainingSet(tiles.images, tiles.labels, logits)
    fit(model, lesson, steps=2, batch=64, weight_decay=0.0, faint=1.0)  # a batch of fewer tiles than it may have
    after = model.body[-1].weight.detach()
    assert torch.equal(after[0], before[0]) and not torch.allclose(after[1:], before[1:])
    with pytest.raises(ValueError, match="share of the textures"):
        fit(model, lesson, steps=1, faint=1.5)


def _defects(logits, truth):
    """Nothing of what has all seven logits, and of the rest the six-way error."""
    return logits.sum() * 0 if logits.shape[1] == 7 else torch.logsumexp(logits, 1).mean() - logits[:, truth[0]].mean()


def test_many_workers_get_the_teachers_answers_in_order():
    images = np.arange(50, dtype=np.uint8)[:, None, None, None] + np.zeros((1, 1, 4, 4), np.uint8)

    def teacher(part):
        time.sleep(0.001 * int(part[0, 0, 0, 0] == 0))  # the first batch is answered last
        return part[:, 0, 0, :1].astype(np.float64)

    answers = ask(teacher, images, batch=8, workers=4)
    assert answers.dtype == np.float32 and answers[:, 0].tolist() == list(range(50))


def test_bad_training_sets_say_so():
    with pytest.raises(ValueError, match="teacher"):
        TrainingSet(np.zeros((3, 1, 96, 96), np.uint8), np.zeros(3, np.int64), np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="0 steps"):
        fit(student(16, (16,), (16,)), TrainingSet(*_easy()), steps=0)


def test_student_widths_round_trip():
    shape = {"stem": 24, "hidden": (8, 16), "outputs": (24, 40)}
    assert widths(student(**shape)) == shape
    with pytest.raises(ValueError, match="hidden"):
        student(16, (16,), (16, 32))


def test_statistics_are_those_of_the_tiles_and_nothing_else_changes():
    torch.manual_seed(0)
    model, tiles = student(16, (16,), (16,)).eval(), surface.make_set(96, seed=5).images
    with torch.no_grad():
        model.body.stem[1].running_mean += 3  # stale
    fresh = prune.reestimate_batchnorms(model, tiles, batch=48)
    seen = {}
    fresh.body.stem[0].register_forward_hook(lambda m, i, out: seen.update(x=out))
    with torch.no_grad():
        fresh(torch.from_numpy(tiles))
    assert torch.allclose(fresh.body.stem[1].running_mean, seen["x"].mean((0, 2, 3)), atol=1e-4)
    assert not fresh.training and fresh.body.stem[1].momentum == model.body.stem[1].momentum
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), fresh.parameters(), strict=True))
    with pytest.raises(ValueError, match="need inputs"):
        prune.reestimate_batchnorms(model, tiles[:0])


@pytest.mark.parametrize("other", [{"depthwise": True}, {"unshuffle": False}])
def test_what_the_student_is_raced_against_sees_the_same_tiles_and_works_at_the_same_size(other):
    usual, raced = student(16, (16, 32), (16, 32)), student(16, (16, 32), (16, 32), **other)
    sizes = []
    for net in (usual, raced):
        net.body.blocks.register_forward_hook(lambda m, inputs, out: sizes.append((inputs[0].shape, out.shape)))
        assert net(torch.zeros(2, 1, 96, 96)).shape == (2, 7)
    assert sizes[0] == sizes[1]
