# SPDX-License-Identifier: Apache-2.0
"""Reports: averages, means over conditions, labels, flicker and JSON."""

import json

import pytest
from results_tree import build, NAMES

from degfusion_ros.learning.evaluation import ALL, evaluate, mean
from degfusion_ros.learning.result_folders import EvaluationError, Sources

NAN = float('nan')


def sources(root, clean=True):
    where = (root / 'clean/visible', root / 'clean/thermal') if clean else (None, None)
    return Sources(root / 'in', root / 'in', *where)


def test_mean_leaves_nan_and_missing_out():
    assert mean([{'a': 1, 'b': NAN}, {'a': 3, 'c': 5}])['a'] == 2
    told = mean([{'a': NAN}, {'a': 3, 'b': NAN}])
    assert told['a'] == 3 and told['b'] != told['b']


def test_a_result_without_conditions(tmp_path):
    root = build(tmp_path)
    report, cases = evaluate({'ours': root / 'out'}, sources(root))
    assert report['conditions'] == [ALL] and report['means'] == {} and len(cases) == 3
    assert report['against'] == 'clean sources' and report['scored'] == {ALL: {'ours': 3}}
    each = [p['figures']['Qabf'] for p in report['pictures']]
    assert report['figures'][ALL]['ours']['Qabf'] == pytest.approx(sum(each) / 3)
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_without_clean_sources_the_inputs_count(tmp_path):
    root = build(tmp_path)
    report, _ = evaluate({'ours': root / 'out'}, sources(root, clean=False))
    assert report['against'] == 'inputs'
    assert 'gain_visible_PSNR' not in report['figures'][ALL]['ours']


def test_means_of_single_and_composite_conditions(tmp_path):
    root = build(tmp_path, ('clean', 'fog', 'noise+haze', 'rain'))
    report, _ = evaluate({'ours': root / 'out'}, sources(root))
    assert report['means'] == {
        'mean': ['clean', 'fog', 'noise+haze', 'rain'],
        'mean of degraded': ['fog', 'noise+haze', 'rain'],
        'mean of single': ['fog', 'rain'], 'mean of composite': ['noise+haze']}
    by = {c: report['figures'][c]['ours']['Nabf'] for c in ('fog', 'rain', 'mean of single')}
    assert by['mean of single'] == pytest.approx((by['fog'] + by['rain']) / 2)


def test_labels_and_composites_of_a_manifest(tmp_path):
    root = build(tmp_path, ('fog', 'storm'))
    rows = [{'name': name, 'condition': condition, 'visible': visible, 'thermal': {}}
            for name in NAMES for condition, visible in (
                ('fog', {'noise': 0.6}), ('storm', {'noise': 0.5, 'rain': 0.5}))]
    path = tmp_path / 'manifest.jsonl'
    path.write_text('\n'.join(map(json.dumps, rows)))
    report, _ = evaluate({'ours': root / 'out'}, sources(root), manifest=path)
    assert report['figures']['fog']['ours']['label_F1'] == 1
    assert report['figures']['storm']['ours']['label_recall'] == 0.5
    assert report['means']['mean of composite'] == ['storm'] and not report['problems']
    # all pictures together: noise always found, rain never
    assert report['figures']['mean']['ours']['label_F1'] == 0.5
    assert report['figures']['mean']['ours']['label_recall'] == pytest.approx(2 / 3)
    (root / 'out/fog/degradation.jsonl').unlink()
    report, _ = evaluate({'ours': root / 'out'}, sources(root), manifest=path)
    assert 'label_F1' not in report['figures']['fog']['ours']
    assert 'degradation.jsonl: not there' in report['problems'][0]


def test_flicker_when_asked_for(tmp_path):
    root = build(tmp_path)
    report, _ = evaluate({'ours': root / 'out'}, sources(root), sequence=True)
    assert 'flicker_ratio_fused' in report['figures'][ALL]['ours']


def test_bad_pictures_are_listed_and_the_rest_is_scored(tmp_path):
    root = build(tmp_path)
    (root / 'out/fused/001.png').write_bytes(b'')
    report, _ = evaluate({'ours': root / 'out'}, sources(root))
    assert len(report['problems']) == 1 and report['scored'] == {ALL: {'ours': 2}}
    for name in NAMES:
        (root / f'out/fused/{name}.png').write_bytes(b'')
    with pytest.raises(EvaluationError, match='000.png'):
        evaluate({'ours': root / 'out'}, sources(root))
