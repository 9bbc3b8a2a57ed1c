# SPDX-License-Identifier: Apache-2.0
"""One file per command, each with add_arguments(parser) and run(args) -> exit code."""
