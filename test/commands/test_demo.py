# SPDX-License-Identifier: Apache-2.0
"""The demo from end to end: a bag through the real node over DDS, in processes of their own."""

import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time

import pytest

from degfusion_ros import bags
from degfusion_ros.drive import recording
from degfusion_ros.drive.schedule import Segment

FRAMES = 6
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, '-m', 'degfusion_ros', 'demo']


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'drive'
    night = (Segment('night', 0.0, FRAMES / 10, visible={'low_light': 0.9}),)
    recording.write_bag(path, night, workers=0)
    return path


def test_a_short_drive(bag, tmp_path):
    """At a tenth of the speed, so that a busy machine fuses every pair."""
    done = subprocess.run(
        [*COMMAND, '--bag', bag, '--output', tmp_path / 'out', '--rate', '0.1'],
        cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    out = tmp_path / 'out'
    assert f'passed: {FRAMES} of {FRAMES} pairs fused' in done.stdout
    assert str(out / 'index.html') in done.stdout

    summary = json.loads((out / 'summary.json').read_text())
    assert (summary['pairs_sent'], summary['fused'], summary['dropped']) == (FRAMES, FRAMES, {})
    assert 0 < summary['latency_ms']['p50'] <= summary['latency_ms']['p99']
    assert 3 < summary['delta_t_ms']['mean'] <= summary['delta_t_ms']['max'] < 6
    assert summary['rate_hz'] == pytest.approx(1.0, rel=0.3)
    first = summary['degradation'][0]
    assert first['t'] == pytest.approx(0, abs=0.01), 'the first pair is judged at once'
    assert set(first['visible']) >= {'fog', 'low_light'} and 'stripe' in first['thermal']

    # a pair a second, slower than the mosaic's own rate: each has one
    assert [p.name for p in sorted((out / 'frames').iterdir())] == [
        f'{n:05d}.jpg' for n in range(FRAMES)]
    assert '"frames/00001.jpg"' in (out / 'index.html').read_text()
    check_recorded(out / 'fused.mcap', bag)


def check_recorded(recorded, bag):
    found = bags.topics(recorded)
    for name in ('fused', 'visible_restored', 'thermal_restored'):
        assert found[f'/fusion_node/{name}/image'] == bags.IMAGE
    assert found['/fusion_node/degradation/visible'] == 'std_msgs/msg/String'
    assert found['/fusion_node/degradation/scores'] == 'diagnostic_msgs/msg/DiagnosticArray'
    sent = [bags.stamp_ns(m.raw) for m in bags.read(bag, ['/visible/image_raw'])]
    fused = list(bags.read(recorded, ['/fusion_node/fused/image']))
    assert [bags.stamp_ns(m.raw) for m in fused] == sent
    picture = bags.deserialize(fused[-1].raw, bags.IMAGE)
    assert (picture.width, picture.height, picture.encoding) == (640, 512, 'rgb8')
    assert picture.data.std() > 5
    assert sent[0] <= fused[0].time_ns < sent[0] + 2_000_000_000, "the bag's own time line"


def children(pid):
    """Return the processes whose parent is `pid`."""
    found = []
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_node_too(bag, tmp_path, number):
    demo = subprocess.Popen([*COMMAND, '--bag', bag, '--output', tmp_path / 'out'], cwd=ROOT,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        end = time.monotonic() + 60
        while not (node := children(demo.pid)):
            assert time.monotonic() < end and demo.poll() is None
            time.sleep(0.05)
        time.sleep(1.0)
        demo.send_signal(number)
        text, _ = demo.communicate(timeout=60)
    finally:
        demo.kill()
    assert demo.returncode == 1 and 'degfusion: interrupted' in text
    assert 'Traceback' not in text
    assert not any(Path(f'/proc/{pid}').exists() for pid in node)
    assert not (tmp_path / 'out' / 'fused.mcap').exists(), 'no half-written bag stays'


def test_a_node_that_cannot_start_says_why(bag, tmp_path):
    done = subprocess.run(
        [*COMMAND, '--bag', bag, '--output', tmp_path, '--model', 'no_such_model'],
        cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith('degfusion: the fusion node cannot configure: ')
    assert 'no_such_model' in last


def test_the_model_is_that_of_the_parameter_file(bag, tmp_path):
    (tmp_path / 'own.yaml').write_text(
        '/**:\n  ros__parameters:\n    model.name: of_the_file\n    model.device: cpu\n')
    done = subprocess.run(
        [*COMMAND, '--bag', bag, '--output', tmp_path, '--params-file', tmp_path / 'own.yaml'],
        cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert 'of_the_file' in done.stderr.strip().splitlines()[-1]


def test_wrong_topics_are_told_before_anything_starts(bag, tmp_path):
    done = subprocess.run(
        [*COMMAND, '--bag', bag, '--output', tmp_path / 'out', '--visible-topic', '/camera'],
        cwd=ROOT, capture_output=True, text=True, timeout=60, env=os.environ)
    assert done.returncode == 1
    assert '/visible/image_raw (sensor_msgs/msg/Image)' in done.stderr
    assert not (tmp_path / 'out').exists()


def test_a_demo_does_not_replace_what_it_is_to_play(bag, tmp_path):
    earlier = tmp_path / 'fused.mcap'
    with bags.Writer(earlier) as writer:
        for message in bags.read(bag):
            writer.write(*message)
    content = earlier.read_bytes()
    done = subprocess.run([*COMMAND, '--bag', earlier, '--output', tmp_path / 'x' / '..'], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and 'would be replaced by this demo' in done.stderr
    assert earlier.read_bytes() == content
