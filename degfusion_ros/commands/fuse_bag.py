# SPDX-License-Identifier: Apache-2.0
"""`fuse-bag`: a bag in, the same bag with the fused, restored and label topics out."""

import argparse
from collections.abc import Callable, Iterator
import hashlib
from itertools import islice
from pathlib import Path
import re
import shutil
import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TimeRemainingColumn

from degfusion_ros import __version__, bags

OUTPUTS = ('fused', 'visible', 'thermal')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument('input', type=Path, metavar='IN',
                        help='a rosbag2 folder, or an .mcap or .db3 file')
    parser.add_argument('output', type=Path, metavar='OUT',
                        help='a new folder, or a name ending in .mcap or .db3')
    parser.add_argument('--resume', action='store_true',
                        help='go on with a run that was interrupted (OUT.part)')
    parser.add_argument('--visible-topic', metavar='TOPIC', help='by default guessed by name')
    parser.add_argument('--thermal-topic', metavar='TOPIC', help='by default guessed by name')
    parser.add_argument('--outputs', nargs='+', choices=OUTPUTS, default=OUTPUTS,
                        help='images to add (default: all)')
    parser.add_argument('--name', default='fusion_node', type=_ros_name,
                        help='namespace of what is added (default: %(default)s)')
    parser.add_argument('--params', '--params-file', type=Path, metavar='FILE',
                        help="the node's parameter file; the options below override it")
    parser.add_argument('--registration', type=Path, metavar='FILE',
                        help="calibrate's; without it thermal is resized to visible")
    parser.add_argument('--max-dt', '--max-dt-s', type=_number(0, 5), metavar='S',
                        help='stamps further apart are never a pair (default: 0.05 s)')
    parser.add_argument('--refresh', type=_number(0, 1e6), metavar='S',
                        help="the bag's time between two judgements (default: 0.5 s)")
    parser.add_argument('--smoothing', type=_number(0, 0.95), metavar='SHARE',
                        help='of the last judgement, kept in the next (default: 0.75)')
    parser.add_argument('--model', help='shipped name or .safetensors path (default: dgmoe)')
    parser.add_argument('--device', help='auto, cpu, cuda or cuda:N')
    parser.add_argument('--precision', help='auto, float32, bfloat16 or float16')
    parser.add_argument('--engine', default='torch', choices=('auto', 'torch', 'openvino'),
                        help='with torch a resumed run gives the same bag to the bit; openvino '
                             'may be faster, and differ by roundings (default: %(default)s)')
    parser.add_argument('--storage', choices=tuple(bags.STORAGES),
                        help="by default told by OUT's name, else as in IN")
    parser.add_argument('--segment', type=_number(0.01, 1e6), default=20.0, metavar='S',
                        help="of the bag's time that an interruption costs at most "
                             '(default: %(default)s s)')


def _ros_name(text: str) -> str:
    name = text.strip('/')
    if not re.fullmatch(r'[A-Za-z_]\w*(/[A-Za-z_]\w*)*', name, re.ASCII):
        raise argparse.ArgumentTypeError(f'{text!r}: give a name of letters, digits and _, none '
                                         'beginning with a digit; / between namespaces')
    return name


def _number(low: float, high: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        if not low <= (value := float(text)) <= high:
            raise argparse.ArgumentTypeError(f'{text}: give {low:g} to {high:g}')
        return value
    return number


def run(args: argparse.Namespace) -> int:
    """Write OUT; 1 when a frame of IN could not be used (each is named), else 0."""
    if args.output.exists() and args.resume:
        # a run killed at its very end had no time to clean up
        shutil.rmtree(args.output.with_name(f'{args.output.name}.part'), ignore_errors=True)
        print(f'{args.output}: finished already, nothing to resume')
        return 0
    if args.output.exists():
        raise bags.BagError(f'{args.output}: exists already; remove it or choose another name')
    told = args.output.suffix
    if args.storage and told in bags.SUFFIXES.values() and told != bags.SUFFIXES[args.storage]:
        raise bags.BagError(f'{args.output}: a name ending in {told} is no '
                            f'{args.storage}; leave --storage out or choose another name')
    recorded = bags.connections(args.input)
    visible, thermal = bags.image_topics(args.input, args.visible_topic, args.thermal_topic)
    began_ns, end_ns = bags.span_ns(args.input)
    from degfusion_ros.commands import fuse_bag_messages, fuse_bag_settings
    from degfusion_ros.commands.fuse_bag_parts import Parts
    from degfusion_ros.commands.fuse_bag_state import Options
    from degfusion_ros.commands.fuse_bag_stream import Stream
    from degfusion_ros.fuser import find_model, Fuser
    from degfusion_ros.imaging.registration import Registration
    settings = fuse_bag_settings.settings(args)
    outputs = tuple(name for name in OUTPUTS if name in args.outputs)
    infos = {stream: _info_topic(recorded, topic)
             for stream, topic in (('visible', visible), ('thermal', thermal))}
    options = Options(visible, thermal, infos, args.name, outputs, settings)
    added = fuse_bag_messages.topics(args.name, outputs, any(infos.values()))
    for connection in recorded:
        if connection.topic in added:
            raise bags.BagError(f'{args.input}: holds {connection.topic} already; choose another '
                                '--name')
    file = settings['registration.file']
    registration = Registration.load(file) if file else Registration.identity()
    fuser = Fuser.load(settings['model.name'], settings['model.device'],
                       settings['model.precision'], args.engine)
    storage = args.storage or bags.storage_of(args.input)
    asked = options._asdict() | options.settings | {
        'settings': None,
        'version': __version__, 'bag': [*_files(args.input), began_ns, end_ns],
        'model': _digest(find_model(settings['model.name'])), 'device': fuser.device,
        'precision': fuser.precision, 'engine': fuser.engine, 'segment': args.segment,
        'registration': file and _digest(Path(file)), 'storage': storage}

    def declare(writer: bags.Writer) -> None:
        for connection in recorded:
            writer.declare(connection.topic, connection.msgtype, recorded=connection)
        for topic, (msgtype, qos) in added.items():
            writer.declare(topic, msgtype, qos)

    with Parts(args.output, storage, asked, args.resume) as parts, _progress() as bar:
        stream = Stream(fuser, options, registration, parts.load())
        task = bar.add_task('fusing', total=end_ns - began_ns)
        messages = islice(bags.read(args.input), stream.state.read, None)
        while not stream.state.ended:
            with parts.segment() as writer:
                declare(writer)
                for message in _segment(stream, messages, round(args.segment * 1e9)):
                    writer.write(*message)
                    bar.update(task, completed=message.time_ns - began_ns)
            parts.save(stream.save())
        bar.update(task, description='merging', total=None)
        parts.merge(declare)
    return _summary(args.output, stream.state)


def _segment(stream: object, messages: Iterator[bags.Message],
             length_ns: int) -> Iterator[bags.Message]:
    """Yield what the next `length_ns` of the bag's time give, or the rest of it."""
    began_ns = None
    for message in messages:
        yield from stream.take(message)
        now_ns = stream.state.clock_ns
        began_ns = began_ns or now_ns
        if now_ns - began_ns >= length_ns:
            return
    yield from stream.finish()


def _summary(out: Path, state: object) -> int:
    dropped = state.pairer.dropped
    words = [f'{state.fused} pairs fused into {out}']
    if state.alone:
        words.append(f'{state.alone} frames alone')
    words += [f'{count} {stream} frames {cause.replace("_", " ")}'
              for stream, causes in dropped.items() for cause, count in causes.items()]
    if state.bad:
        words.append(f'{state.bad} bad')
    print(', '.join(words))
    return 1 if state.bad else 0


def _info_topic(recorded: list, visible: str) -> str:
    """Return the topic of the visible camera's camera_info, '' where there is none."""
    base = visible.removesuffix('/compressed').rpartition('/')[0]
    told = {connection.topic: connection.msgtype for connection in recorded}
    topic = f'{base}/camera_info'
    return topic if told.get(topic) == bags.CAMERA_INFO else ''


def _files(bag: Path) -> list:
    """Return what tells a bag from another of the same length."""
    files = sorted(bag.iterdir()) if bag.is_dir() else [bag]
    return [[file.name, file.stat().st_size] for file in files]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _progress() -> Progress:
    return Progress('{task.description}', BarColumn(), TimeRemainingColumn(),
                    console=Console(stderr=True), disable=not sys.stderr.isatty())
