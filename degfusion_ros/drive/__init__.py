# SPDX-License-Identifier: Apache-2.0
"""The built-in drive: a road scene in visible and thermal, rendered by the package itself."""
