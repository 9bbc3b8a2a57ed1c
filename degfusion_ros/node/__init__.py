# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node: everything that imports rclpy lives here, and nowhere else."""
