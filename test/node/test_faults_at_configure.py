# SPDX-License-Identifier: Apache-2.0
"""Model files and devices that cannot be used: one line, the process lives, can be put right."""

import pickle

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.parameter import Parameter
from rig import diagnosed, wait_for
from safetensors.torch import load_file, save_file


def change(peer, number):
    return peer.call(ChangeState, 'fusion_node/change_state',
                     ChangeState.Request(transition=Transition(id=number))).success


@pytest.fixture
def broken(tmp_path, tiny_model):
    """Return model files by what is wrong with them."""
    files = {name: tmp_path / f'{name}.safetensors'
             for name in ('absent', 'truncated', 'text', 'pickled', 'future')}
    files['truncated'].write_bytes(tiny_model.read_bytes()[:-1000])
    files['text'].write_text('no model at all\n' * 100)
    files['pickled'].write_bytes(pickle.dumps({'weights': [1, 2, 3]}))
    save_file(load_file(tiny_model), files['future'], {'kind': 'dgmoe', 'version': '99'})
    return files


def test_a_node_with_the_wrong_model_says_so_until_it_has_a_right_one(
        start, peer, broken, tiny_model, capfd):
    reports = peer.listen_first('/diagnostics', DiagnosticArray)
    spun = start(None, {'model.name': str(broken['absent'])}, autostart=False)

    def put(name, value):
        assert spun.do(spun.node.set_parameters, [Parameter(name, value=value)])[0].successful

    for name, file in broken.items():
        put('model.name', str(file))
        capfd.readouterr()
        assert not change(peer, Transition.TRANSITION_CONFIGURE)
        line, = (x for x in capfd.readouterr().err.splitlines() if '[ERROR]' in x)
        assert 'cannot configure' in line and str(file) in line
        status = wait_for(
            lambda f=file: (s := diagnosed(reports)) and s['level'] == b'\x02'
            and str(f) in s['message'] and s, f'{name} in the diagnostics')
        assert status['message'].startswith('cannot configure')
    put('model.name', str(tiny_model))
    put('model.device', 'cuda:99')
    assert not change(peer, Transition.TRANSITION_CONFIGURE)
    assert "'cuda:99'" in capfd.readouterr().err
    put('model.device', 'cpu')
    assert change(peer, Transition.TRANSITION_CONFIGURE)
    assert change(peer, Transition.TRANSITION_ACTIVATE)
