# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag` on small bags through the real command line: nothing lost, everything added."""

import os
import pickle
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest

from degfusion_ros import bags
from degfusion_ros.__main__ import main
from degfusion_ros.commands import fuse_bag_messages
from degfusion_ros.commands.fuse_bag_parts import Parts
from degfusion_ros.fuser import Degradation, Fuser, OUTPUTS, THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.imaging.thermal import ThermalScaler

MS = 1_000_000
START = 1_700_000_000_000_000_000
VISIBLE, THERMAL, INFO = '/cam/rgb/image_raw', '/boson/image_raw', '/cam/rgb/camera_info'
ODD = 'odd_msgs/msg/Odd'
BASE = '/fusion_node'


def pictures(count=6, seed=0, size=(64, 96)):
    """Return pairs of an RGB picture and 14 bit counts at half its size."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        coarse = rng.integers(0, 255, (8, 12, 3), np.uint8)
        counts = rng.integers(7000, 9000, (8, 12)).astype(np.uint16)
        made.append((cv2.resize(coarse, size[::-1]),
                     cv2.resize(counts, (size[1] // 2, size[0] // 2))))
    return made


def write(path, storage='mcap', pairs=None, spoil=None, visible_every=100, thermal_every=1):
    """
    Write a bag as a robot records it: thermal 4 ms later, other topics beside, one of its own type.

    spoil: (topic, index) -> what takes the message's place; an (encoding, array) or raw bytes.
    """
    spoil = spoil or {}
    with bags.Writer(path, storage) as writer:
        writer.connections['/odd', ODD] = writer.writer.add_connection(
            '/odd', ODD, msgdef='int32 x\n', rihs01=f'RIHS01_{1:064}',
            offered_qos_profiles=[fuse_bag_messages.LATCHED])
        writer.declare('/silent', 'std_msgs/msg/String')
        writer.write('/odd', ODD, START - MS, b'\0\1\0\0\7\0\0\0')
        for i, (colour, heat) in enumerate(pairs or pictures()):
            stamp = START + i * visible_every * MS
            for topic, encoding, array, late, frame_id in (
                    (VISIBLE, 'rgb8', colour, 0, 'rgb_optical'),
                    (THERMAL, 'mono16', heat, 4 * MS, 'boson_optical')):
                if topic == THERMAL and i % thermal_every:
                    continue
                instead = spoil.get((topic, i), (encoding, array))
                raw = instead if isinstance(instead, bytes) else bags.image_cdr(
                    instead[1], instead[0], stamp + late, frame_id)
                writer.write(topic, bags.IMAGE, stamp + late + 9 * MS, raw)
            writer.write(INFO, bags.CAMERA_INFO, stamp + 9 * MS, bags.camera_info_cdr(
                2 * colour.shape[0], 2 * colour.shape[1], 80.0, stamp, 'rgb_optical'))
            writer.write('/odd', ODD, stamp + 50 * MS, b'\0\1\0\0' + i.to_bytes(4, 'little'))
    return path


def fuse_bag(source, out, model, *more):
    return main(['fuse-bag', str(source), str(out), '--model', str(model), '--device', 'cpu',
                 '--precision', 'float32', *map(str, more)])


def on(path, topic):
    """Return [(recorded time, message)] of a topic."""
    return [(m.time_ns, bags.deserialize(m.raw, m.msgtype)) for m in bags.read(path, [topic])]


def image(message):
    return message.data.reshape(message.height, message.width, -1).squeeze()


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


@pytest.mark.parametrize('name, storage', [
    ('folder', 'mcap'), ('folder', 'sqlite3'), ('one.mcap', 'mcap'), ('one.db3', 'sqlite3')])
def test_all_that_was_there_stays_and_the_topics_of_the_node_are_added(
        tmp_path, tiny_model, capsys, name, storage):
    source, out = write(tmp_path / f'in_{name}', storage), tmp_path / name
    assert fuse_bag(source, out, tiny_model) == 0
    told = capsys.readouterr()
    assert '6 pairs fused' in told.out and not told.err
    before, after = list(bags.read(source)), list(bags.read(out))
    assert [m for m in after if not m.topic.startswith(BASE)] == before
    assert [m.time_ns for m in after] == sorted(m.time_ns for m in after)
    kept = {c.topic: c for c in bags.connections(out)}
    for c in bags.connections(source):  # also the topic without messages, and one of its own type
        assert kept[c.topic].msgdef == c.msgdef and kept[c.topic].ext == c.ext
    assert bags.storage_of(out) == storage
    assert {t: k for t, k in bags.topics(out).items() if t.startswith(BASE)} == {
        **{f'{BASE}/{name}/image': bags.IMAGE
           for name in ('fused', 'visible_restored', 'thermal_restored')},
        **{f'{BASE}/{name}/camera_info': bags.CAMERA_INFO
           for name in ('fused', 'visible_restored', 'thermal_restored')},
        **{f'{BASE}/degradation/{name}': 'std_msgs/msg/String' for name in ('visible', 'thermal')},
        f'{BASE}/degradation/scores': 'diagnostic_msgs/msg/DiagnosticArray'}
    assert kept[f'{BASE}/degradation/visible'].ext.offered_qos_profiles == [
        fuse_bag_messages.LATCHED]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([source.name, name])


def test_the_added_images_are_what_the_fuser_makes_under_the_visible_header(tmp_path, tiny_model):
    pairs = pictures()
    source = write(tmp_path / 'in', pairs=pairs)
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 0
    fuser, scaler = Fuser.load(tiny_model, 'cpu', 'float32', 'torch'), ThermalScaler()
    topics = {'fused': 'fused', 'visible': 'visible_restored', 'thermal': 'thermal_restored'}
    found = {name: on(tmp_path / 'out', f'{BASE}/{topic}/image') for name, topic in topics.items()}
    infos = on(tmp_path / 'out', f'{BASE}/fused/camera_info')
    scores = on(tmp_path / 'out', f'{BASE}/degradation/scores')
    assert [stamp(m) for _, m in scores] == [START + i * 100 * MS for i in (0, 5)]
    for i, (colour, heat) in enumerate(pairs):
        heat = cv2.resize(scaler(heat), colour.shape[1::-1])
        if i % 5 == 0:
            told = fuser.refresh(colour, heat, keep=0.75)
            assert {v.key: float(v.value) for v in scores[i // 5][1].status[0].values} \
                == pytest.approx(told.visible, abs=6e-4)
        wanted = fuser.fuse(colour, heat, OUTPUTS)
        for name, messages in found.items():
            time, message = messages[i]
            assert np.array_equal(image(message), getattr(wanted, name))
            assert time == START + (i * 100 + 4 + 9) * MS  # the later frame's
            assert (stamp(message), message.header.frame_id, message.encoding) == (
                START + i * 100 * MS, 'rgb_optical', 'mono8' if name == 'thermal' else 'rgb8')
        time, info = infos[i]
        assert time == START + (i * 100 + 13) * MS and stamp(info) == START + i * 100 * MS
        assert (info.width, info.height, info.k[0], info.k[2]) == (96, 64, 40, 48)


def interrupt_after(monkeypatch, count):
    """Make the fuser's frame number `count` the last; return the list of frames to come."""
    made, fuse = [], Fuser.fuse

    def counted(self, *args):
        made.append(1)
        if len(made) > count:
            raise KeyboardInterrupt
        return fuse(self, *args)
    monkeypatch.setattr(Fuser, 'fuse', counted)
    return made


@pytest.mark.parametrize('model, storage', [
    ('tiny_model', 'mcap'), ('tiny_model', 'sqlite3'), ('tiny_tg_ecnet', 'mcap')])
def test_a_resumed_run_gives_the_same_bag(
        tmp_path, request, monkeypatch, capsys, model, storage):
    any_model = request.getfixturevalue(model)
    # a slower thermal camera: frames are held over the ends of segments; a bad one each side
    spoil = {(VISIBLE, 3): ('rgb8', np.zeros((8, 8, 3), np.uint8)), (THERMAL, 12): b'\0\1\0\0'}
    source = write(tmp_path / 'in', storage, pictures(16), spoil, 40, 2)
    options = ('--segment', 0.1, '--refresh', 0.15, '--outputs', 'fused')
    assert fuse_bag(source, tmp_path / 'whole', any_model, *options) == 1
    bad = capsys.readouterr().err.splitlines()
    assert len(bad) == 2
    out, part = tmp_path / 'out', tmp_path / 'out.part'
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        assert fuse_bag(source, out, any_model, *options) == 1
    assert not out.exists() and 'interrupted' in capsys.readouterr().err
    before = {p.name: p.read_bytes() for p in (part / 'segments').iterdir()}
    assert before
    assert fuse_bag(source, out, any_model, *options) == 1
    assert capsys.readouterr().err == (
        f'degfusion: {part}: left by a run that was interrupted; go on with --resume, or remove '
        'it\n')
    assert fuse_bag(source, out, any_model, *options, '--resume', '--max-dt', 0.01) == 1
    assert 'begun with another max_dt_s' in capsys.readouterr().err
    (part / 'segments' / f'000099{bags.SUFFIXES[storage]}').write_bytes(b'half of a bag')
    with monkeypatch.context() as patch:
        interrupt_after(patch, 5)
        assert fuse_bag(source, out, any_model, *options, '--resume') == 1
    after = {p.name: p.read_bytes() for p in (part / 'segments').iterdir()}
    assert len(after) > len(before) and before.items() <= after.items()
    with monkeypatch.context() as patch:
        made = interrupt_after(patch, 1000)
        assert fuse_bag(source, out, any_model, *options, '--resume') == 1  # of the bad frames
    assert 0 < len(made) < 10
    assert list(bags.read(out)) == list(bags.read(tmp_path / 'whole'))
    assert not part.exists()
    part.mkdir()  # as if killed while cleaning up
    assert fuse_bag(source, out, any_model, *options, '--resume') == 0
    assert not part.exists() and 'finished already' in capsys.readouterr().out


def test_a_killed_run_loses_no_finished_segment(tmp_path, tiny_model):
    source = write(tmp_path / 'in')
    words = ['--segment', '0.15', '--outputs', 'fused', '--model', str(tiny_model), '--device',
             'cpu', '--precision', 'float32']
    code = ('import os, sys\nfrom degfusion_ros.__main__ import main\n'
            'from degfusion_ros.fuser import Fuser\nfuse, made = Fuser.fuse, []\n'
            'def last(self, *args):\n'
            '    made.append(1)\n'
            '    os.kill(os.getpid(), 9) if len(made) > 4 else None\n'
            '    return fuse(self, *args)\n'
            'Fuser.fuse = last\nmain(sys.argv[1:])\n')
    killed = subprocess.run(
        [sys.executable, '-c', code, 'fuse-bag', str(source), str(tmp_path / 'out'), *words],
        capture_output=True, text=True, timeout=120, env={**os.environ, 'OMP_NUM_THREADS': '1'})
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / 'out').exists()
    segments = list((tmp_path / 'out.part/segments').glob('0*.mcap'))
    assert len(segments) >= 2 and all(list(bags.read(path)) for path in segments)
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--resume', *words[:4]) == 0
    assert fuse_bag(source, tmp_path / 'whole', tiny_model, *words[:4]) == 0
    assert list(bags.read(tmp_path / 'out')) == list(bags.read(tmp_path / 'whole'))
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'out', 'whole']


def test_a_run_killed_while_merging_only_merges_again(tmp_path, tiny_model, monkeypatch):
    source, out, read = write(tmp_path / 'in'), tmp_path / 'out', bags.read

    def broken(path, topics=None):
        if 'segments' in path.parts:
            raise KeyboardInterrupt
        return read(path, topics)
    with monkeypatch.context() as patch:
        patch.setattr(bags, 'read', broken)
        assert fuse_bag(source, out, tiny_model) == 1
    assert not out.exists()
    # what a killed writer leaves: it had no time to clean up
    (tmp_path / 'out.part/.out.1.part/out').mkdir(parents=True)
    (tmp_path / 'out.part/out').mkdir()
    monkeypatch.setattr(Fuser, 'fuse', lambda *args: pytest.fail('fused again'))
    assert fuse_bag(source, out, tiny_model, '--resume') == 0
    assert len(on(out, f'{BASE}/fused/image')) == 6
    assert sorted(p.name for p in tmp_path.iterdir()) == ['in', 'out']


def test_a_bad_frame_is_named_and_costs_no_good_one(tmp_path, tiny_model, capsys):
    nan = np.full((32, 48), np.nan, np.float32)
    cut = bags.image_cdr(pictures(1)[0][0], 'rgb8', START + 400 * MS, 'x')[:-1000]
    odd = bags.image_cdr(pictures(1)[0][0], 'rgb9', START + 600 * MS, 'x')
    unstamped = bags.image_cdr(pictures(1)[0][1], 'mono16', 0, 'x')
    source = write(tmp_path / 'in', pairs=pictures(12), spoil={
        (VISIBLE, 4): cut, (VISIBLE, 6): odd, (THERMAL, 2): ('32FC1', nan),
        (THERMAL, 8): unstamped, (VISIBLE, 10): b'\0'})
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--outputs', 'fused') == 1
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 5 and '5 bad' in told.out
    for topic, at, why in ((VISIBLE, '1700000000.400000000', 'decoded'),
                           (VISIBLE, '1700000000.600000000', 'rgb9'),
                           (THERMAL, '1700000000.204000000', 'no finite pixel'),
                           (THERMAL, '0.000000000', 'stamp'),
                           (VISIBLE, 'recorded at 1700000001.009000000', 'decoded')):
        assert any(topic in line and at in line and why in line for line in lines), (why, lines)
    # a visible frame whose own thermal one is bad takes the last good one
    assert [stamp(m) for _, m in on(tmp_path / 'out', f'{BASE}/fused/image')] == [
        START + i * 100 * MS for i in range(12) if i not in (4, 6, 10)]
    assert [m for m in bags.read(tmp_path / 'out') if not m.topic.startswith(BASE)] == list(
        bags.read(source))


def compressed(array, extension, text, at):
    done, data = cv2.imencode(extension, array)
    message = bags.TYPES.types[bags.COMPRESSED](
        header=bags.header(at, 'optical'), format=text, data=data)
    return done and bytes(bags.TYPES.serialize_cdr(message, bags.COMPRESSED))


def test_compressed_images_are_fused_as_raw_ones_of_the_same_pixels(tmp_path, tiny_model, capsys):
    pairs = pictures(3)
    plain = write(tmp_path / 'plain', pairs=pairs)
    with bags.Writer(tmp_path / 'in') as writer:
        for i, (colour, heat) in enumerate(pairs):
            at = START + i * 100 * MS
            for topic, raw in (
                    (VISIBLE, compressed(colour[..., ::-1], '.png', 'rgb8; png compressed bgr8',
                                         at)),
                    (THERMAL, compressed(heat, '.png', 'mono16; png compressed', at + 4 * MS))):
                writer.write(f'{topic}/compressed', bags.COMPRESSED, at + 9 * MS,
                             raw[:-50] if i == 2 and topic == THERMAL else raw)
    assert fuse_bag(plain, tmp_path / 'plain_out', tiny_model, '--outputs', 'fused') == 0
    assert fuse_bag(tmp_path / 'in', tmp_path / 'out', tiny_model, '--outputs', 'fused') == 1
    assert f'{THERMAL}/compressed: 1700000000.204000000: ' in capsys.readouterr().err
    added = {t for t in bags.topics(tmp_path / 'out') if t.startswith(f'{BASE}/')}
    assert added == {f'{BASE}/fused/image', *(f'{BASE}/degradation/{name}' for name in (
        'visible', 'thermal', 'scores'))}
    raw, packed = (on(tmp_path / name, f'{BASE}/fused/image') for name in ('plain_out', 'out'))
    assert len(packed) == 3  # the last with the second thermal frame, held
    for (_, a), (_, b) in zip(raw[:2], packed[:2]):
        assert np.array_equal(image(a), image(b))


def test_registration_is_used_and_one_of_another_camera_told_once_a_frame(
        tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(3))
    file = tmp_path / 'registration.yaml'
    file.write_text('homography: [[2, 0, 20], [0, 2, 0], [0, 0, 1]]\n'
                    'thermal_size: [48, 32]\nvisible_size: [96, 64]\n')
    assert fuse_bag(source, tmp_path / 'plain', tiny_model) == 0
    assert fuse_bag(source, tmp_path / 'moved', tiny_model, '--registration', file) == 0
    topic = f'{BASE}/thermal_restored/image'
    (_, plain), (_, moved) = (on(tmp_path / name, topic)[0] for name in ('plain', 'moved'))
    assert np.abs(image(moved)[4:-4, 26:90].astype(int)
                  - image(plain)[4:-4, 6:70]).mean() < np.abs(
        image(moved)[4:-4, 26:90].astype(int) - image(plain)[4:-4, 26:90]).mean() / 2
    file.write_text('homography: [[2, 0, 0], [0, 2, 0], [0, 0, 1]]\n'
                    'thermal_size: [50, 50]\nvisible_size: [100, 100]\n')
    capsys.readouterr()
    assert fuse_bag(source, tmp_path / 'bad', tiny_model, '--registration', file) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3 and all(THERMAL in x and 'calibrate again' in x for x in lines)
    assert not on(tmp_path / 'bad', f'{BASE}/fused/image')


def test_labels_are_steadied_and_written_only_when_they_change(tmp_path, tiny_model, monkeypatch):
    fog = iter([0.9, 0.0, 0.9, 0.0, 0.0, 0.0])
    kept = []

    def refresh(self, visible, thermal, between=None, keep=0.0):
        kept.append(keep)
        severities = dict.fromkeys(VISIBLE_LABELS, 0.0) | {'fog': next(fog)}
        return Degradation(severities, dict.fromkeys(THERMAL_LABELS, 0.0), (), (),
                           {'visible': False, 'thermal': False}, np.zeros(512, np.float32))
    monkeypatch.setattr(Fuser, 'refresh', refresh)
    source = write(tmp_path / 'in', pairs=pictures(12))
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--refresh', 0.2, '--smoothing', 0.5,
                    '--outputs', 'fused') == 0
    assert kept == [0.5] * 6
    assert [(time - START, m.data) for time, m in on(
        tmp_path / 'out', f'{BASE}/degradation/visible')] == [(13 * MS, 'fog'),
                                                              (813 * MS, 'clean')]
    scores = on(tmp_path / 'out', f'{BASE}/degradation/scores')
    assert [m.status[0].message for _, m in scores] == ['fog'] * 4 + ['clean'] * 2
    assert [m.status[0].level for _, m in scores] == [1] * 4 + [0] * 2


def test_what_is_there_is_never_overwritten(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(2))
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 0
    before = {p: p.read_bytes() for p in (tmp_path / 'out').iterdir()}
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 1
    assert f'{tmp_path / "out"}: exists already' in capsys.readouterr().err
    assert {p: p.read_bytes() for p in (tmp_path / 'out').iterdir()} == before
    assert fuse_bag(tmp_path / 'out', tmp_path / 'twice', tiny_model, '--visible-topic', VISIBLE,
                    '--thermal-topic', THERMAL) == 1
    assert 'choose another --name' in capsys.readouterr().err
    assert fuse_bag(tmp_path / 'out', tmp_path / 'twice', tiny_model, '--visible-topic', VISIBLE,
                    '--thermal-topic', THERMAL, '--name', '/robot/again/') == 0
    assert len(on(tmp_path / 'twice', '/robot/again/fused/image')) == 2
    assert len(on(tmp_path / 'twice', f'{BASE}/fused/image')) == 2


def test_a_state_that_would_run_code_is_not_loaded(tmp_path, tiny_model, monkeypatch, capsys):
    source, out = write(tmp_path / 'in'), tmp_path / 'out'
    with monkeypatch.context() as patch:
        interrupt_after(patch, 4)
        assert fuse_bag(source, out, tiny_model, '--segment', 0.15) == 1

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'harm'),)
    (tmp_path / 'out.part/state').write_bytes(pickle.dumps((1, Evil())))
    capsys.readouterr()
    assert fuse_bag(source, out, tiny_model, '--segment', 0.15, '--resume') == 1
    assert 'cannot be read' in capsys.readouterr().err and not (tmp_path / 'harm').exists()


def test_two_runs_do_not_work_on_the_same_bag(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(1))
    with Parts(tmp_path / 'out', 'mcap', {}, False):
        assert fuse_bag(source, tmp_path / 'out', tiny_model, '--resume') == 1
    assert 'another run is at work' in capsys.readouterr().err


@pytest.mark.parametrize('words', [
    ['in'], ['in', 'out', '--max-dt', '-1'], ['in', 'out', '--smoothing', '1.5'],
    ['in', 'out', '--outputs', 'mosaic'], ['in', 'out', '--storage', 'tape']])
def test_wrong_use_is_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['fuse-bag', *words])
    assert ended.value.code == 2 and 'fuse-bag' in capsys.readouterr().err


def test_a_bag_without_the_topics_is_refused_in_one_line(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(1))
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--thermal-topic', '/flir') == 1
    told = capsys.readouterr().err
    assert '/flir' in told and THERMAL in told and told.count('\n') == 1
    assert fuse_bag(tmp_path / 'gone', tmp_path / 'out', tiny_model) == 1
    assert 'no such bag' in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ['in']
