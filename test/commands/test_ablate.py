# SPDX-License-Identifier: Apache-2.0
"""`ablate` through the real command line, with a small network of random weights."""

import json
import shutil

import cv2

from degfusion_ros.__main__ import main


def data(pair_root, names):
    """Return clean/ and dark/ of small pairs."""
    root = pair_root / 'set'
    for condition, gain in (('clean', 1.0), ('dark', 0.2)):
        for side in ('visible', 'thermal'):
            (root / condition / side).mkdir(parents=True)
            for name in names:
                path = next((pair_root / 'street' / side).glob(f'{name}.*'))
                image = cv2.imread(str(path))[:64, :96]
                cv2.imwrite(str(root / condition / side / f'{name}.png'), image * gain)
    return root


def ablate(root, output, model):
    return main(['ablate', '--data', str(root), '--output', str(output), '--model', str(model)])


def test_every_variant_is_measured_and_the_experts_are_drawn(pair_root, tmp_path, tiny_model,
                                                            capsys):
    out = tmp_path / 'out'
    assert ablate(data(pair_root, ['000']), out, tiny_model) == 0
    told = capsys.readouterr().out
    names = {'full', 'without_pkdm', 'without_dgme', 'without_guidance', 'routed'}
    assert all(name in told for name in names) and 'routed against folded' in told
    report = json.loads((out / 'evaluation.json').read_text())
    assert set(report['results']) == names and report['against'] == 'clean sources'
    dark = report['figures']['dark']
    assert dark['routed']['VIF_min'] == dark['full']['VIF_min']     # the same bytes
    assert dark['without_pkdm']['VIF_min'] != dark['full']['VIF_min']
    experts = json.loads((out / 'experts.json').read_text())
    assert set(experts['activations']) == {'clean', 'dark'}
    assert experts['largest_routed_difference'] < 1e-4
    assert cv2.imread(str(out / 'experts.png')) is not None
    assert 'image/png' in (out / 'index.html').read_text()


def test_other_networks_and_empty_folders_are_refused_in_one_line(pair_root, tmp_path, tiny_model,
                                                                 tiny_tg_ecnet, capsys):
    assert ablate(tmp_path / 'nowhere', tmp_path / 'out', tiny_model) == 1
    assert 'nowhere' in capsys.readouterr().err
    assert ablate(pair_root / 'street', tmp_path / 'out', tiny_tg_ecnet) == 1
    told = capsys.readouterr().err.strip()
    assert 'TgEcnet' in told and '\n' not in told


def test_a_bad_pair_costs_no_other(pair_root, tmp_path, tiny_model, capsys):
    root = data(pair_root, ['000', '001'])
    shutil.rmtree(root / 'dark')
    (root / 'clean/thermal/001.png').write_bytes(b'no picture')
    assert ablate(root, tmp_path / 'out', tiny_model) == 1
    assert 'clean/001' in capsys.readouterr().err
    assert (tmp_path / 'out/evaluation.json').is_file()


def test_variants_never_replace_the_pictures_they_are_made_from(pair_root, tiny_model, capsys):
    root = data(pair_root, ['000'])
    (root / 'clean').rename(root / 'full')
    before = (root / 'full/visible/000.png').read_bytes()
    assert ablate(root / 'full', root, tiny_model) == 2
    assert 'visible holds the pictures to fuse' in capsys.readouterr().err
    assert (root / 'full/visible/000.png').read_bytes() == before
