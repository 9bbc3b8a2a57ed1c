# SPDX-License-Identifier: Apache-2.0
"""Images from message bytes to registered arrays, and back to a mosaic to look at."""
