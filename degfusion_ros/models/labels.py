# SPDX-License-Identifier: Apache-2.0
"""The degradations the package names, per modality."""

VISIBLE_LABELS = ('fog', 'low_light', 'overexposure', 'rain', 'noise', 'blur')
THERMAL_LABELS = ('stripe', 'noise', 'low_contrast', 'blur')
LABELS = {'visible': VISIBLE_LABELS, 'thermal': THERMAL_LABELS}
