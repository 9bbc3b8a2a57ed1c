# SPDX-License-Identifier: Apache-2.0
"""Bags: what is written is read back, and damage is told in one line."""

import numpy as np
import pytest

from degfusion_ros import bags

STAMP = 1_700_000_000_123_456_789


def write(path, storage='mcap', count=5):
    """Write a small bag of two topics whose images differ from frame to frame."""
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 2**16, (count, 24, 32), dtype=np.uint16)
    with bags.Writer(path, storage) as writer:
        for i, frame in enumerate(frames):
            stamp = STAMP + i * 100_000_000
            writer.write('/thermal/image_raw', bags.IMAGE, stamp + 7,
                         bags.image_cdr(frame, 'mono16', stamp, 'thermal'))
            writer.write('/thermal/camera_info', bags.CAMERA_INFO, stamp + 8,
                         bags.camera_info_cdr(24, 32, 30.0, stamp, 'thermal'))
    return frames


@pytest.mark.parametrize('name, storage', [
    ('folder', 'mcap'), ('folder', 'sqlite3'), ('one.mcap', 'mcap'), ('one.db3', 'sqlite3')])
def test_round_trip(tmp_path, name, storage):
    frames = write(tmp_path / name, storage)
    assert bags.topics(tmp_path / name) == {
        '/thermal/image_raw': bags.IMAGE, '/thermal/camera_info': bags.CAMERA_INFO}
    messages = list(bags.read(tmp_path / name, ['/thermal/image_raw']))
    assert [m.time_ns for m in messages] == [STAMP + i * 100_000_000 + 7 for i in range(5)]
    for i, (message, frame) in enumerate(zip(messages, frames, strict=True)):
        image = bags.deserialize(message.raw, message.msgtype)
        assert bags.stamp_ns(message.raw) == STAMP + i * 100_000_000
        assert (image.height, image.width, image.step) == (24, 32, 64)
        assert (image.encoding, image.header.frame_id) == ('mono16', 'thermal')
        assert np.array_equal(image.data.view(np.uint16).reshape(24, 32), frame)
    assert not list(tmp_path.glob('.*')), 'scratch files stay behind'


def test_all_topics_come_in_recorded_order(tmp_path):
    write(tmp_path / 'bag')
    times = [m.time_ns for m in bags.read(tmp_path / 'bag')]
    assert len(times) == 10 and times == sorted(times)


def test_rgb_and_strided_images_are_stored_row_by_row():
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)[:, ::2]
    message = bags.deserialize(bags.image_cdr(image, 'rgb8', 0, 'x'), bags.IMAGE)
    assert message.step == 9
    assert np.array_equal(message.data.reshape(4, 3, 3), image)


def test_big_endian_pixels_are_stored_as_they_are_declared():
    image = np.array([[1, 256]], dtype='>u2')
    message = bags.deserialize(bags.image_cdr(image, 'mono16', 0, 'x'), bags.IMAGE)
    assert message.is_bigendian == 0
    assert message.data.view('<u2').tolist() == [1, 256]


def test_wrong_topic_lists_those_there_are(tmp_path):
    write(tmp_path / 'bag')
    with pytest.raises(bags.BagError, match='/camera') as error:
        list(bags.read(tmp_path / 'bag', ['/camera']))
    assert '/thermal/image_raw (sensor_msgs/msg/Image)' in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('storage, keep', [
    ('mcap', 0.5), ('sqlite3', 0.5), ('mcap', 0.0), ('sqlite3', 0.01)])
def test_cut_off_file_is_told_in_one_line(tmp_path, storage, keep):
    write(tmp_path / 'bag', storage, count=50)
    file, = (tmp_path / 'bag').glob('bag.*')
    file.write_bytes(file.read_bytes()[:int(file.stat().st_size * keep)])
    with pytest.raises(bags.BagError) as error:
        list(bags.read(tmp_path / 'bag'))
    assert str(tmp_path / 'bag') in str(error.value) and '\n' not in str(error.value)


def test_flipped_bytes_inside_are_told_in_one_line(tmp_path):
    write(tmp_path / 'one.mcap', count=50)
    data = bytearray((tmp_path / 'one.mcap').read_bytes())
    start = data.index(b'\x28\xb5\x2f\xfd')  # the zstd frame of the first chunk
    data[start:start + 64] = bytes(64)
    (tmp_path / 'one.mcap').write_bytes(data)
    with pytest.raises(bags.BagError, match='damaged'):
        list(bags.read(tmp_path / 'one.mcap'))


@pytest.mark.parametrize('name, content', [
    ('nothing', None), ('empty_folder', ''), ('note.txt', 'hello'), ('fake.mcap', 'hello')])
def test_what_is_no_bag_is_refused(tmp_path, name, content):
    path = tmp_path / name
    if content == '':
        path.mkdir()
    elif content:
        path.write_text(content)
    with pytest.raises(bags.BagError, match=name):
        bags.topics(path)


def test_an_exception_leaves_no_bag(tmp_path):
    with pytest.raises(KeyboardInterrupt), bags.Writer(tmp_path / 'bag') as writer:
        writer.write('/x', 'std_msgs/msg/String', 1, b'\0\1\0\0\1\0\0\0\0')
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_an_existing_bag_is_kept(tmp_path):
    write(tmp_path / 'bag')
    with pytest.raises(bags.BagError, match='exists already'):
        bags.Writer(tmp_path / 'bag')
    assert len(list(bags.read(tmp_path / 'bag'))) == 10


def test_unwritable_place_and_unknown_names(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(bags.BagError, match='cannot be written'):
        bags.Writer(tmp_path / 'file' / 'bag').__enter__()
    with pytest.raises(bags.BagError, match='choose mcap or sqlite3'):
        bags.Writer(tmp_path / 'bag', 'tape')
    with pytest.raises(bags.BagError, match='unknown type no_msgs/msg/None'), \
            bags.Writer(tmp_path / 'bag') as writer:
        writer.write('/x', 'no_msgs/msg/None', 1, b'')


@pytest.mark.parametrize('name', ['two.mcap', 'two.db3'])
def test_two_channels_of_one_topic_become_one(tmp_path, name):
    with bags.Writer(tmp_path / name) as writer:
        for time_ns in (1, 2):
            writer.declare('/tf', 'std_msgs/msg/String')
            writer.write('/tf', 'std_msgs/msg/String', time_ns, b'\0\1\0\0\1\0\0\0\0')
    assert [m.time_ns for m in bags.read(tmp_path / name, ['/tf'])] == [1, 2]
    assert len(bags.connections(tmp_path / name)) == 1


def test_rubbish_message_is_refused():
    with pytest.raises(bags.BagError, match='cannot be decoded'):
        bags.deserialize(b'\0\1\0\0\1', bags.IMAGE)


@pytest.mark.parametrize('raw', [b'', b'\0', b'\0\1\0\0\1\0\0\0\0\0\0'])
def test_a_message_too_short_for_a_stamp_is_refused(raw):
    with pytest.raises(bags.BagError, match=f'message of {len(raw)} bytes is too short'):
        bags.stamp_ns(raw)


def named(path, *names, kind=bags.IMAGE):
    """Write one message to each topic."""
    with bags.Writer(path) as writer:
        for name in names:
            writer.write(name, kind, STAMP,
                         bags.image_cdr(np.zeros((6, 8), np.uint8), 'mono8', STAMP, 'x'))


@pytest.mark.parametrize('visible, thermal', [
    ('/visible/image_raw', '/thermal/image_raw'), ('/cam/rgb', '/cam/lwir'),
    ('/zed/left/color', '/boson/image_raw'), ('/eo/image', '/ir/image'),
    ('/colour_cam/first', '/infrared/first'), ('/vis_image', '/left_ir')])
def test_image_topics_are_guessed_by_name(tmp_path, visible, thermal):
    named(tmp_path / 'bag', thermal, visible, '/mirror/image')
    assert bags.image_topics(tmp_path / 'bag') == (visible, thermal)


def test_named_image_topics_win(tmp_path):
    named(tmp_path / 'bag', '/rgb/a', '/rgb/b', '/cam3')
    assert bags.image_topics(tmp_path / 'bag', '/rgb/b', 'cam3') == ('/rgb/b', '/cam3')


def test_raw_images_are_taken_before_compressed_ones(tmp_path):
    with bags.Writer(tmp_path / 'bag') as writer:
        for name, kind in (('/rgb/image', bags.IMAGE), ('/rgb/image/compressed', bags.COMPRESSED),
                           ('/thermal/image', bags.IMAGE)):
            writer.write(name, kind, STAMP, b'\0\1\0\0')
    assert bags.image_topics(tmp_path / 'bag')[0] == '/rgb/image'


def test_unclear_image_topics_are_listed(tmp_path):
    named(tmp_path / 'bag', '/rgb/a', '/rgb/b', '/thermal')
    with pytest.raises(bags.BagError, match=r'several .*/rgb/a, /rgb/b.*--visible-topic'):
        bags.image_topics(tmp_path / 'bag')
    named(tmp_path / 'other', '/left', '/right')
    with pytest.raises(bags.BagError, match=r'none of its .*/left, /right'):
        bags.image_topics(tmp_path / 'other')


def test_no_topic_is_both_the_visible_and_the_thermal_one(tmp_path):
    named(tmp_path / 'bag', '/camera/image_raw', '/thermal/image_color')
    with pytest.raises(bags.BagError, match='none of its .* might be the visible one'):
        bags.image_topics(tmp_path / 'bag')
    assert bags.image_topics(tmp_path / 'bag', 'camera/image_raw') == (
        '/camera/image_raw', '/thermal/image_color')
    with pytest.raises(bags.BagError, match='/camera/image_raw is given as visible and as thermal'):
        bags.image_topics(tmp_path / 'bag', '/camera/image_raw', 'camera/image_raw')
    named(tmp_path / 'two', '/rgb/image', '/thermal/image_color')
    assert bags.image_topics(tmp_path / 'two') == ('/rgb/image', '/thermal/image_color')
    named(tmp_path / 'maker', '/flir/visible', '/flir/thermal')
    assert bags.image_topics(tmp_path / 'maker', None, 'flir/thermal') == (
        '/flir/visible', '/flir/thermal')


def test_a_topic_without_images_is_refused(tmp_path):
    write(tmp_path / 'bag')
    with pytest.raises(bags.BagError, match='CameraInfo, not images'):
        bags.image_topics(tmp_path / 'bag', '/thermal/camera_info')


def test_span_and_image_size(tmp_path):
    write(tmp_path / 'bag')
    assert bags.span_ns(tmp_path / 'bag') == (STAMP + 7, STAMP + 400_000_008)
    assert bags.image_size(tmp_path / 'bag', '/thermal/image_raw') == '32x24'
    with bags.Writer(tmp_path / 'empty'):
        pass
    with pytest.raises(bags.BagError, match='no messages'):
        bags.span_ns(tmp_path / 'empty')
