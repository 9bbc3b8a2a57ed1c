# SPDX-License-Identifier: Apache-2.0
"""The node as a robot runs it: a process of its own, with the shipped model."""

import signal
import subprocess
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
import pytest
from rig import diagnosed, Peer, PERIOD, wait_for
from sensor_msgs.msg import Image


@pytest.fixture
def process(namespace):
    processes = []

    def launch(**parameters):
        command = [sys.executable, '-m', 'degfusion_ros.node.fusion_node', '--ros-args',
                   '-r', f'__ns:={namespace}']
        for name, value in parameters.items():
            command += ['-p', f'{name.replace("__", ".")}:={value}']
        processes.append(subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return processes[-1]

    yield launch
    for process in processes:
        process.kill()
        process.wait()


def stamp(message):
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def test_pairs_cross_into_another_process_and_back_and_sigint_ends_it_cleanly(process, peer):
    node = process(autostart='true', model__warm_up_size='80x64')
    fused = peer.listen_first('fusion_node/fused/image', Image)
    reports = peer.listen_first('/diagnostics', DiagnosticArray)
    wait_for(lambda: peer.node.count_publishers('fusion_node/fused/image'), 'the node', 60)
    first = 0
    while not fused:  # until both sides have met
        first += 1
        peer.send_pair(first)
        time.sleep(0.1)
    for number in range(first + 1, first + 6):
        peer.send_pair(number)
        wait_for(lambda n=number: stamp(fused[-1]) == n * PERIOD, f'pair {number} fused', 60)
    assert {m.header.frame_id for m in fused} == {'camera_optical'}
    values = wait_for(
        lambda: (v := diagnosed(reports)).get('fused') == str(len(fused)) and v, 'a report')
    assert values['model'] == 'dgmoe' and values['in_progress'] == '0'
    assert values['ran_by'] in ('openvino', 'torch')
    node.send_signal(signal.SIGINT)
    output, _ = node.communicate(timeout=30)
    assert node.returncode == 0, output
    assert 'Traceback' not in output and 'ERROR' not in output, output


def test_wrong_parameters_are_one_line_and_the_process_lives(process, namespace):
    node = process(autostart='true', output__size='huge', degradation__rate='3.0')
    peer = Peer(namespace)
    try:
        reports = peer.listen_first('/diagnostics', DiagnosticArray)
        wait_for(lambda: diagnosed(reports).get('level') == b'\x02', 'the refusal', 60)
        assert node.poll() is None  # it lives
        node.send_signal(signal.SIGINT)
        output, _ = node.communicate(timeout=30)
    finally:
        peer.end()
    assert node.returncode == 0, output
    errors = [line for line in output.splitlines() if 'ERROR' in line]
    assert len(errors) == 1 and 'output.size must be one of visible, thermal' in errors[0]
    assert 'degradation.rate is unknown' in output and 'Traceback' not in output
