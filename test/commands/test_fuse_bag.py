# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag` on small bags through the real command line: nothing lost, everything added."""


import cv2
import numpy as np
import pytest
from recorded_drive import (
    BASE,
    fuse_bag,
    image,
    MS,
    on,
    pictures,
    stamp,
    START,
    THERMAL,
    VISIBLE,
    write,
)

from degfusion_ros import bags
from degfusion_ros.__main__ import main
from degfusion_ros.commands import fuse_bag_messages
from degfusion_ros.fuser import Degradation, Fuser, OUTPUTS, THERMAL_LABELS, VISIBLE_LABELS
from degfusion_ros.imaging.thermal import ThermalScaler
from degfusion_ros.stream.presence import other_of


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


def test_the_encoding_that_the_parameters_tell_holds_for_compressed_images(tmp_path, tiny_model):
    mosaic = np.random.default_rng(0).integers(0, 255, (64, 96)).astype(np.uint8)
    params = tmp_path / 'mine.yaml'
    params.write_text('/**:\n  ros__parameters: {input: {visible: {encoding: bayer_rggb8}}}\n')
    fused = []
    for name, (topic, msgtype, raw) in {
            'raw': (VISIBLE, bags.IMAGE, bags.image_cdr(mosaic, 'mono8', START, 'x')),
            'packed': (f'{VISIBLE}/compressed', bags.COMPRESSED,
                       compressed(mosaic, '.png', 'mono8; png compressed', START))}.items():
        with bags.Writer(tmp_path / name) as writer:
            writer.write(topic, msgtype, START, raw)
            writer.write(THERMAL, bags.IMAGE, START, bags.image_cdr(
                pictures(1)[0][1], 'mono16', START, 'x'))
        assert fuse_bag(tmp_path / name, tmp_path / f'{name}_out', tiny_model,
                        '--params', params) == 0
        (_, message), = on(tmp_path / f'{name}_out', f'{BASE}/visible_restored/image')
        fused.append(image(message))
    assert np.array_equal(*fused) and np.ptp(fused[0], axis=2).any()


@pytest.mark.parametrize('reference', ['visible', 'thermal'])
def test_pairs_that_never_fit_the_registration_are_given_up_for_the_reference(
        tmp_path, tiny_model, capsys, reference):
    source = write(tmp_path / 'in', pairs=pictures(9))
    file, params = tmp_path / 'registration.yaml', tmp_path / 'mine.yaml'
    file.write_text('homography: [[2, 0, 0], [0, 2, 0], [0, 0, 1]]\n'
                    'thermal_size: [50, 50]\nvisible_size: [100, 100]\n')
    params.write_text(f'/**:\n  ros__parameters: {{sync: {{reference: {reference}}}}}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--registration', file,
                    '--params', params) == 1
    assert '5 frames alone' in capsys.readouterr().out  # 0.3 s is not longer than 0.3 s
    late = 4 * MS if reference == 'thermal' else 0
    assert [stamp(m) - START for _, m in on(tmp_path / 'out', f'{BASE}/fused/image')] == [
        i * 100 * MS + late for i in range(4, 9)]
    assert [m.data for _, m in on(
        tmp_path / 'out', f'{BASE}/degradation/{other_of(reference)}')] == ['missing']


def test_labels_are_steadied_and_written_only_when_they_change(tmp_path, tiny_model, monkeypatch):
    fog = iter([0.9, 0.0, 0.9, 0.0, 0.0, 0.0])
    kept = []

    def refresh(self, visible, thermal, between=None, keep=0.0, outputs=()):
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


@pytest.mark.parametrize('lost, alone', [(THERMAL, 'visible'), (VISIBLE, 'thermal')])
def test_a_camera_that_is_left_alone_goes_on_as_in_the_node(
        tmp_path, tiny_model, capsys, lost, alone):
    pairs = pictures(30)
    source = write(tmp_path / 'in', pairs=pairs, spoil={(lost, i): None for i in range(8, 20)})
    assert fuse_bag(source, tmp_path / 'out', tiny_model) == 0
    told = capsys.readouterr().out
    fused = on(tmp_path / 'out', f'{BASE}/fused/image')
    restored = dict(on(tmp_path / 'out', f'{BASE}/{alone}_restored/image'))
    other = dict(on(tmp_path / 'out', f'{BASE}/{other_of(alone)}_restored/image'))
    single = [(time, message) for time, message in fused if time not in other]
    late = 4 if alone == 'thermal' else 0
    numbers = [(stamp(m) - START - late * MS) // (100 * MS) for _, m in single]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    # the first few are held; a visible frame may have gone alone when its partner comes back
    assert 8 <= numbers[0] <= 11 and numbers[-1] in (19, 20)
    assert f'{len(single)} frames alone' in told
    for time, message in single:
        assert message.encoding == 'rgb8'
        picture = image(restored[time])
        assert np.array_equal(image(message), picture if alone == 'visible' else
                              np.repeat(picture[..., None], 3, axis=2))
        assert np.array_equal(stamp(restored[time]), stamp(message))
    modality = 'thermal' if lost == THERMAL else 'visible'
    labels = [m.data for _, m in on(tmp_path / 'out', f'{BASE}/degradation/{modality}')]
    assert labels.count('missing') == 1 and labels.index('missing') in (1, 2)
    assert labels[labels.index('missing') + 1:]     # and judged again
    scores = [{s.name: s for s in m.status} for _, m in
              on(tmp_path / 'out', f'{BASE}/degradation/scores')]
    gone = [s for s in scores if s[modality].message == 'missing']
    assert len(gone) >= 2 and not any(s[modality].values for s in gone)
    assert all(s[alone].values for s in scores)
    # both cameras again: as if nothing had been
    assert [stamp(m) for _, m in fused][-10:] == [START + i * 100 * MS for i in range(20, 30)]


def test_never_alone_with_a_wait_of_zero(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', spoil={(THERMAL, i): None for i in range(1, 12)},
                   pairs=pictures(12))
    (tmp_path / 'mine.yaml').write_text('/**:\n  ros__parameters: {sync: {lost_after_s: 0}}\n')
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--params', tmp_path / 'mine.yaml') == 0
    assert ' alone' not in capsys.readouterr().out
    # one pair, and what the hold of 0.3 s allows
    assert [stamp(m) for _, m in on(tmp_path / 'out', f'{BASE}/fused/image')] == [
        START + i * 100 * MS for i in range(4)]


@pytest.mark.parametrize('words', [
    ['in'], ['in', 'out', '--max-dt', '-1'], ['in', 'out', '--smoothing', '1.5'],
    ['in', 'out', '--outputs', 'mosaic'], ['in', 'out', '--storage', 'tape'],
    ['in', 'out', '--name', '/'], ['in', 'out', '--name', 'my node'],
    ['in', 'out', '--name', 'front//node'], ['in', 'out', '--name', '2nd']])
def test_wrong_use_is_2(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(['fuse-bag', *words])
    assert ended.value.code == 2 and 'fuse-bag' in capsys.readouterr().err


def test_a_bag_without_the_topics_is_refused_in_one_line(tmp_path, tiny_model, capsys):
    source = write(tmp_path / 'in', pairs=pictures(1))
    assert fuse_bag(source, tmp_path / 'out', tiny_model, '--thermal-topic', '/flir') == 1
    told = capsys.readouterr().err
    assert '/flir' in told and THERMAL in told and told.count('\n') == 1
    assert fuse_bag(source, tmp_path / 'o.mcap', tiny_model, '--storage', 'sqlite3') == 1
    assert 'o.mcap: a name ending in .mcap is no sqlite3' in capsys.readouterr().err
    assert fuse_bag(tmp_path / 'gone', tmp_path / 'out', tiny_model) == 1
    assert 'no such bag' in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ['in']
