# SPDX-License-Identifier: Apache-2.0
"""The node's books: what came in is fused, waits, goes alone or was dropped with a cause."""

from collections.abc import Mapping


def differences(values: Mapping[str, object]) -> dict[str, int]:
    """
    Return by how many frames each side of the books is off, for values of a status of the node.

    Keys: visible, thermal (received against paired, single, waiting and dropped) and pairs (put
    to the worker against fused, unheard, in hand and dropped); empty when all is accounted for.
    Taken with sync.reference visible.
    """
    counts = {key: int(value) for key, value in values.items()
              if str(value).lstrip('-').isdigit()}

    def of(key: str) -> int:
        return counts.get(key, 0)

    def lost(what: str) -> int:
        return sum(n for key, n in counts.items() if key.startswith(f'dropped.{what}.'))

    paired = {'visible': of('pairs'), 'thermal': of('pairs') - of('reused')}
    off = {name: of(f'received.{name}') - paired[name] - of(f'single.{name}')
           - of(f'waiting.{name}') - lost(name) for name in paired}
    off['pairs'] = (of('pairs') + of('single.visible') + of('single.thermal')
                    - of('fused') - of('unheard') - of('in_progress') - lost('pairs'))
    return {name: n for name, n in off.items() if n}
