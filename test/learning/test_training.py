# SPDX-License-Identifier: Apache-2.0
"""Both training stages run, resume, and end in a file that the Fuser takes."""

import os
from pathlib import Path
import subprocess
import sys

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
import torch
import yaml

from degfusion_ros import Fuser
from degfusion_ros.imaging.statistics import COUNT
from degfusion_ros.learning import fusion_training, guidance_training
from degfusion_ros.learning.fusion_training import fused_losses, FusionTask
from degfusion_ros.learning.guidance_training import _start, GuidanceTask
from degfusion_ros.learning.loop import cosine, Loop, TrainingError
from degfusion_ros.models import checkpoint
from degfusion_ros.models.dgmoe import DgMoe, PARTS
from degfusion_ros.models.enhancement import JUDGED, STATISTICS
from degfusion_ros.models.guidance import Guidance, VECTOR_SIZE
from degfusion_ros.models.labels import LABELS, VISIBLE_LABELS
from degfusion_ros.models.network import OUTPUTS
from degfusion_ros.models.tg_ecnet import TgEcnet

NETWORK = {'widths': [8, 8], 'decoder': [1]}
CONFIG = Path(__file__).parents[2] / 'config' / 'train'


def _config(stage: str, **changes) -> dict:
    config = yaml.safe_load((CONFIG / f'{stage}.yaml').read_text())
    config['data'] = {'sets': ['street'], 'validation_share': 0.3}
    return {**config, **changes}


@pytest.fixture(scope='module')
def small_guidance():
    return _config('guidance', batch=2, fresh=1, reservoir=40, workers=0, nights={},
                   only_clean=False, pretrain_steps=2, lora_steps=2, report_steps=2, held_back=4,
                   report=7, read_out={'steps': 2, 'batch': 8, 'lr': 1e-3, 'weight_decay': 0.05,
                                       'report_steps': 2})


def test_both_stages_end_to_end(pair_root, tmp_path, small_guidance):
    file = guidance_training.train(small_guidance, tmp_path / 'guidance', pair_root)
    assert load_file(tmp_path / 'guidance' / 'adapters.safetensors')
    assert (tmp_path / 'guidance' / 'guidance.json').is_file()
    small = {'network': NETWORK, 'frames': 2, 'crops': 1, 'crop': 64, 'fresh': 1, 'reservoir': 8,
             'workers': 0, 'steps': 2, 'export_steps': 2}
    start = None
    for part in ('exposure', 'pkdm', 'restoration'):
        config = _config(part, **{**small, 'fresh': 1}, start_from=start)
        start = fusion_training.train(config, tmp_path / part, pair_root, file)
    config = _config('fusion', **small, start_from=start)
    out = fusion_training.train(config, tmp_path / 'fusion', pair_root, file)
    before = load_file(out)
    config['steps'] = 4
    fusion_training.train(config, tmp_path / 'fusion', pair_root, file, resume=True)
    after = load_file(out)
    assert torch.load(tmp_path / 'fusion' / 'last.pt', weights_only=True)['step'] == 4
    assert any((before[k] != after[k]).any() for k in before if k.startswith('network.'))
    # the guidance is frozen in stage two
    assert all((before[k] == after[k]).all() for k in before if k.startswith('guidance.'))
    with safe_open(out, framework='pt') as done, safe_open(file, framework='pt') as first:
        assert done.metadata()['clip'] == first.metadata()['clip'] == small_guidance['clip']
    assert Fuser.load(out, 'cpu', 'float32').name == 'dgmoe'
    for start, why in ((tmp_path / 'absent', 'no such weights'), (file, 'same widths')):
        with pytest.raises(TrainingError, match=f'{start.name}.*{why}'):
            fusion_training.train({**config, 'start_from': start}, tmp_path, pair_root, file)


def test_a_guidance_goes_on_with_its_vector_held(pair_root, tmp_path, small_guidance):
    torch.manual_seed(1)
    first, start = Guidance(), tmp_path / 'start.safetensors'
    first.standardise(torch.randn(8, COUNT) + 3)
    save_file({k: v for k, v in first.state_dict().items()      # as a shipped file: one tower
               if not k.startswith(('clip.transformer', 'clip.token_embedding'))},
              start, {'clip': first.clip_name, 'kind': 'guidance'})
    network = DgMoe(**NETWORK)      # a fusion checkpoint has it, too
    checkpoint.save(tmp_path / 'dgmoe.safetensors', network.kind, network.state_dict(),
                    load_file(start), network.config, 0, first.clip_name)
    held = Guidance()
    _start(held, tmp_path / 'dgmoe.safetensors', True)
    assert torch.equal(held.centre, first.centre.bfloat16().float())
    config = {**small_guidance, 'start_from': start, 'hold': True, 'pretrain_steps': 0,
              'lora_steps': 0, 'reservoir': 32, 'report': 0,
              'read_out': {'steps': 4, 'batch': 16, 'lr': 1e-4, 'weight_decay': 0.0,
                           'report_steps': 4}}
    after, tensors = checkpoint.load_guidance(
        guidance_training.train(config, tmp_path / 'held', pair_root))
    assert not any(k.startswith('clip.transformer') for k in tensors)
    assert torch.equal(after.centre, first.centre)
    assert not torch.equal(after.heads['visible'].weight, first.heads['visible'].weight)
    views, measures = torch.randint(0, 255, (4, 2, 3, 224, 224)), torch.randn(4, COUNT) + 3
    with torch.no_grad():
        one, two = (g.eval()(views, measures).vector[:, len(sum(LABELS.values(), ())):]
                    for g in (first, after))
    assert (one - two).std() < 0.5 * one.std()      # a fresh one would be another
    task = GuidanceTask(after, None)
    batch = {'features': torch.randn(4, 2, 512), 'measures': measures,
             'severity': torch.rand(4, 10)}
    with torch.no_grad():
        own = after.read(batch['features'].transpose(0, 1).flatten(0, 1), measures).vector
        free, same, off = (task({**batch, **held}) for held in
                           ({}, {'vector': own}, {'vector': own + 1}))
    assert 'held' not in free and same['held'] == 0
    assert off['held'] == pytest.approx(1, rel=1e-3)
    assert off['total'] - same['total'] == pytest.approx(1, rel=1e-3)
    with pytest.raises(TrainingError, match='start_from.*no guidance of clip'):
        guidance_training.train({**config, 'start_from': tmp_path / 'absent'}, tmp_path, pair_root)


@pytest.mark.parametrize('part, wider, losses', [
    ('fused', {}, {'max': 1.0}), ('visible', {}, {'visible': 1.0}),
    ('thermal', {}, {'thermal': 1.0}), ('deraining', {'deraining': [8, 8]}, {'visible': 1.0})])
def test_one_output_trained_alone_leaves_the_others_as_they_are(pair_root, tmp_path, part, wider,
                                                                losses):
    torch.manual_seed(0)
    guidance, network = Guidance(), DgMoe(**{k: tuple(v) for k, v in NETWORK.items()},
                                          plain=(0, 1))
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    file, start = tmp_path / 'guidance.safetensors', tmp_path / 'dgmoe.safetensors'
    save_file(guidance.state_dict(), file, {'clip': guidance.clip_name, 'kind': 'guidance'})
    checkpoint.save(start, network.kind, network.state_dict(), guidance.state_dict(),
                    network.config, 0, guidance.clip_name)
    config = _config('fused', network={**network.config, **wider}, start_from=start, frames=2,
                     crop=64, fresh=1, reservoir=8, workers=0, steps=2, export_steps=2,
                     warm_up=0, ema=0.0, only=part, losses=losses)
    trained, _ = checkpoint.load(fusion_training.train(config, tmp_path / 'out', pair_root, file))
    before, _ = checkpoint.load(start)
    pair = torch.rand(1, 3, 32, 32), torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        vector = torch.ones(1, 512)
        vector[:, :JUDGED] = 0
        vector[:, VISIBLE_LABELS.index('rain')] = 1.0
        made = [net(*pair, net.route(vector), OUTPUTS) for net in (before, trained)]
    changed = 'visible' if part == 'deraining' else part
    for name in OUTPUTS:
        assert torch.equal(*(x.unpacked(name) for x in made)) == (name != changed)
    with pytest.raises(TrainingError, match='only: mosaic'):
        fusion_training.train({**config, 'only': 'mosaic'}, tmp_path / 'no', pair_root, file)


def test_it_goes_on_from_a_tg_ecnet(pair_root, tmp_path):
    guidance, widths = Guidance(), [16, 16, 32, 32]
    file, start = tmp_path / 'guidance.safetensors', tmp_path / 'tg_ecnet.safetensors'
    save_file(guidance.state_dict(), file, {'clip': guidance.clip_name, 'kind': 'guidance'})
    other = TgEcnet(widths=widths, decoder_widths=widths[:-1], heads=(1, 1, 2, 4), prompt=16)
    checkpoint.save(start, other.kind, other.state_dict(), guidance.state_dict(), other.config, 0,
                    guidance.clip_name)
    config = _config('fusion', network={'widths': widths}, start_from=start, frames=2, crop=64,
                     fresh=1, reservoir=8, workers=0, steps=1, export_steps=1, lr=1e-6, ema=0.0,
                     losses={'visible': 1.0})
    made = load_file(fusion_training.train(config, tmp_path / 'out', pair_root, file))
    before = load_file(start)
    torch.testing.assert_close(made['network.stem.weight'],
                               before['network.restorer.encoder.stem.weight'], atol=1e-3, rtol=0.1)


def test_a_damaged_checkpoint_stops_the_run_with_its_name(pair_root, tmp_path, small_guidance):
    (tmp_path / 'g' / 'pretrain').mkdir(parents=True)
    (tmp_path / 'g' / 'pretrain' / 'last.pt').write_bytes(b'rubbish')
    with pytest.raises(TrainingError, match=r'last\.pt'):
        guidance_training.train(small_guidance, tmp_path / 'g', pair_root, resume=True)


def test_what_is_missing_is_named(pair_root, tmp_path, small_guidance):
    with pytest.raises(TrainingError, match='absent'):
        fusion_training.train(_config('fusion'), tmp_path, pair_root, tmp_path / 'absent')
    with pytest.raises(TrainingError, match='ViT-B-32'):
        guidance_training.train({**small_guidance, 'clip': 'ViT-B-32'}, tmp_path, pair_root)


def test_two_processes_train_one_network_on_samples_of_their_own(pair_root, tmp_path):
    guidance = Guidance()
    file = tmp_path / 'guidance.safetensors'
    save_file(guidance.state_dict(), file, {'clip': guidance.clip_name, 'kind': 'guidance'})
    # without the fused picture: some weights get no gradient
    config = _config('fusion', network=NETWORK, frames=2, crop=64, fresh=1, reservoir=8,
                     workers=0, steps=2, export_steps=2, losses={'visible': 16.0, 'thermal': 8.0})
    (tmp_path / 'config.yaml').write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc-per-node',
         '2', '-m', 'degfusion_ros', 'train', 'fusion', '--config', tmp_path / 'config.yaml',
         '--data', pair_root, '--guidance', file, '--output', tmp_path / 'out'],
        capture_output=True, text=True, timeout=100, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert done.returncode == 0, done.stderr[-2000:]
    last = torch.load(tmp_path / 'out' / 'last.pt', weights_only=True)
    assert (last['step'], last['processes']) == (2, 2)
    assert Fuser.load(tmp_path / 'out' / 'dgmoe.safetensors', 'cpu', 'float32').name == 'dgmoe'


def test_a_mask_of_gradients_follows_the_network_to_its_device():
    mask = fusion_training.masked(torch.tensor([0.0, 1.0]))
    assert mask(torch.ones(2)).tolist() == [0.0, 1.0] and mask(torch.ones(2, device='meta')).is_meta


def test_only_pictures_that_a_loss_needs_are_computed():
    network = DgMoe(**NETWORK)
    tasks = [FusionTask(network, dict.fromkeys(names, 1.0)) for names in (
        ('visible', 'enhanced'), ('thermal', 'edges'), ('balance',))]
    assert [task.outputs for task in tasks] == [('visible',), ('fused', 'thermal'), ()]


def test_the_exposure_loss_is_low_where_the_curve_is_the_right_one():
    task = FusionTask(DgMoe(**NETWORK), {'exposure': 1.0})
    clean = torch.rand(2, 48, 64) * 0.5 + 0.2
    many = {'vector': torch.zeros(2, 512), 'statistics': torch.rand(2, 14),
            'cells': torch.stack([clean / 2, clean], dim=1)}
    many['vector'][:, VISIBLE_LABELS.index('low_light')] = 1.0
    before = task._exposure_loss(many)
    with torch.no_grad():
        task.network.enhance_visible.exposure[-1].bias[1] = 1.0     # 1 + b = 2, nearly
    assert task._exposure_loss(many) < before - 10
    task._exposure_loss(many).backward()
    assert task.network.enhance_visible.exposure[-1].weight.grad.abs().max() > 0


def test_the_papers_losses_train_the_papers_size():
    config = _config('dgmoe_paper')
    torch.manual_seed(0)
    network = DgMoe(**config['network'])
    task = FusionTask(network, config['losses'])
    assert task.outputs == OUTPUTS
    vectors = torch.randn(2, VECTOR_SIZE)
    told = task({'degraded': torch.randint(0, 256, (2, 1, 4, 64, 64), dtype=torch.uint8),
                 'clean': torch.randint(0, 256, (2, 1, 4, 64, 64), dtype=torch.uint8),
                 'warm': torch.zeros(2, 1, 2, 64, 64, dtype=torch.bool),
                 'vector': vectors, 'statistics': torch.rand(2, sum(STATISTICS))},
                {'vector': torch.randn(8, VECTOR_SIZE),
                 'statistics': torch.rand(8, sum(STATISTICS)), 'cells': torch.rand(8, 2, 48, 64)})
    assert set(told) == {*config['losses'], 'total'}
    told['total'].backward()
    # the experts of all parts and levels learn
    assert all(block.common.grad.abs().sum() > 0 for part in PARTS for block in
               network.blocks(part))
    pkdm = network.enhance_visible      # nothing after it teaches it
    assert all(p.grad.abs().sum() > 0 for p in (
        pkdm.exposure[-1].weight, pkdm.maps.join[-1].weight, pkdm.rain[0].weight, *pkdm.omega))


def test_likeness_counts_frames_with_nothing_wrong_alone():
    task, batch = FusionTask(DgMoe(**NETWORK), {'likeness': 1.0}), {'vector': torch.zeros(3, 512)}
    batch['vector'][:, VISIBLE_LABELS.index('rain')] = torch.tensor([0.0, 0.3, 2.0])
    sound = task._sound(batch)
    torch.testing.assert_close(sound, torch.tensor([1.0, 0.5, 0.0]))
    rgb, light, heat = (torch.rand(3, c, 32, 32) for c in (3, 1, 1))

    def likeness(rgb):
        return fused_losses(rgb, rgb, light, heat, torch.zeros(3, 2, 32, 32), sound)['likeness']()
    other = torch.cat([rgb[:2], 1 - rgb[2:]])
    torch.testing.assert_close(likeness(other), likeness(rgb))
    assert likeness(torch.cat([light[:1].expand(-1, 3, -1, -1), rgb[1:]])) != likeness(rgb)


def test_descriptions():
    assert guidance_training.describe('thermal', [0, 0, 0, 0]) == 'a clean thermal image'
    assert guidance_training.describe('visible', [0.9, 0.5, 0, 0.2, 0, 0]) == \
        'a visible image with heavy fog and moderate low light and slight rain'


def test_learning_rate_warms_up_and_decays():
    factors = [cosine(step, 1000, 100) for step in range(1001)]
    assert factors[0] == pytest.approx(0.01) and factors[100] == pytest.approx(1.0)
    assert factors[1000] == pytest.approx(0.02)
    assert all(b <= a for a, b in zip(factors[100:], factors[101:]))


def test_the_losses_of_a_run_are_drawn_by_tensorboard(tmp_path):
    model = torch.nn.Linear(2, 1)

    def losses(step):
        part = model(torch.ones(1, 2)).square().sum()
        return {'part': part, 'total': part + step}
    loop = Loop(model, tmp_path, lr=0.01, steps=40)
    loop.run(losses, 'small')
    loop.log.close()
    assert len(list(tmp_path.glob('events.out.tfevents.*'))) == 1
    drawn = EventAccumulator(str(tmp_path))
    drawn.Reload()
    total, part = (drawn.Scalars(f'loss/{name}') for name in ('total', 'part'))
    assert [event.step for event in total] == [event.step for event in part] == [20, 40]
    for whole, piece in zip(total, part):       # logged after the step of that number
        assert whole.value - piece.value == pytest.approx(whole.step - 1, abs=1e-4)


def test_a_step_without_finite_gradients_is_left_out_and_many_end_the_run(tmp_path):
    model = torch.nn.Linear(2, 1)
    before = model.weight.detach().clone()
    bad = Loop(model, tmp_path, lr=0.1, steps=3)
    bad.run(lambda step: {'total': model(torch.full((1, 2), float('nan'))).sum()}, 'bad')
    assert torch.equal(model.weight, before)
    long = Loop(model, tmp_path / 'long', lr=0.1, steps=100)
    with pytest.raises(TrainingError, match='not finite'):
        long.run(lambda step: {'total': model(torch.ones(1, 2)).sum() * float('inf')}, 'long')
