# SPDX-License-Identifier: Apache-2.0
"""Streams in time: pairing by stamp, the latest-only slot, rates, steady labels."""
