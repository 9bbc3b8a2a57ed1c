# SPDX-License-Identifier: Apache-2.0
"""
Transitions of the managed node in any order, wrong ones among them: nothing is left behind.

pytest -s prints the memory and the threads before and after.
"""

import ctypes
import gc
from pathlib import Path
import random
import sys
import threading

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rig import EchoFuser

WALK = 360  # transitions asked for; each is allowed in one state of three
LEADS = {  # from where to where
    'configure': ('unconfigured', 'inactive'), 'activate': ('inactive', 'active'),
    'deactivate': ('active', 'inactive'), 'cleanup': ('inactive', 'unconfigured')}


class Moody(EchoFuser):
    """A fuser that cannot be warmed up every fifth time."""

    def warm_up(self, height, width):
        super().warm_up(height, width)
        if len(self.warmed) % 5 == 0:
            raise RuntimeError('not today')


class Mallinfo(ctypes.Structure):
    """What glibc's mallinfo2 returns, in bytes: `mapped` large blocks, `used` small ones."""

    _fields_ = [(name, ctypes.c_size_t) for name in (
        'arena', 'chunks', 'fast', 'maps', 'mapped', 'peak', 'free_fast', 'used', 'free', 'top')]


def in_use_kb():
    """
    Memory handed out, and what is mapped beside it, as DDS does with what it shares.

    All that is resident would also tell how other tests left the allocator.
    """
    gc.collect()
    status = Path('/proc/self/status').read_text()
    mapped = sum(int(line.split()[1]) for line in status.splitlines()
                 if line.startswith(('RssFile', 'RssShmem')))
    libc = ctypes.CDLL('libc.so.6')
    libc.mallinfo2.restype = Mallinfo
    info = libc.mallinfo2()
    used = info.used + info.mapped + 100 * sys.getallocatedblocks()  # a block has about 100 B
    return mapped + used // 1024


def left_over(node):
    return (sorted(t.name for t in threading.enumerate()), len(list(node.publishers)),
            len(list(node.subscriptions)), len(list(node.timers)), len(list(node.services)))


def test_a_walk_through_all_transitions_leaves_no_thread_and_no_memory_behind(start, peer):
    node, rng = start(Moody(), autostart=False).node, random.Random(1)

    def go(name):
        change = Transition(id=getattr(Transition, f'TRANSITION_{name.upper()}'))
        return peer.call(ChangeState, 'fusion_node/change_state',
                         ChangeState.Request(transition=change)).success

    def walk(steps):
        done, state = 0, 'unconfigured'
        for _ in range(steps):
            name = rng.choice([*LEADS])
            success = go(name)
            assert success <= (state == LEADS[name][0]), f'{name} was taken in {state}'
            done += success
            state = LEADS[name][1] if success else state
        if state == 'active':
            assert go('deactivate')
        if state != 'unconfigured':
            assert go('cleanup')
        return done

    walk(WALK // 3)
    before = left_over(node)
    for _ in range(2):      # a leak grows in every walk, what is made at the first use once
        kb = in_use_kb()
        done = walk(WALK)
        assert left_over(node) == before
        grown = in_use_kb() - kb
        print(f'\n{done} of {WALK} transitions done, {len(before[0])} threads, {grown:+d} KB')
        assert done >= 100
        if grown < 1000:
            break
    assert grown < 1000
