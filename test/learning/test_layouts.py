# SPDX-License-Identifier: Apache-2.0
"""Each published layout as a tiny folder: what is found, and how it is divided."""

import cv2
import numpy as np
import pytest

from degfusion_ros.learning import layouts
from degfusion_ros.learning.folders import DataError, read
from degfusion_ros.learning.layouts import find
from degfusion_ros.learning.pairs import PairFolders

# layout: the files of a root, and the (name, split) of the pairs in them
RELEASES = {
    'MSRS': (['train/vi/00001D.png', 'train/ir/00001D.png', 'test/vi/00004N.png',
              'test/ir/00004N.png', 'detection/vi/1.png', 'detection/ir/1.png'],
             [('00001D', 'train'), ('00004N', 'test')]),
    'M3FD': (['Vis/00000.png', 'Ir/00000.png', 'Annotation/00000.xml'], [('00000', '')]),
    'LLVIP': (['visible/train/010001.jpg', 'infrared/train/010001.jpg',
               'visible/test/190001.jpg', 'infrared/test/190001.jpg'],
              [('010001', 'train'), ('190001', 'test')]),
    'RoadScene': (['crop_LR_visible/FLIR_00006.jpg', 'cropinfrared/FLIR_00006.jpg',
                   'crop_HR_visible/FLIR_00006.jpg'], [('FLIR_00006', '')]),
    'FMB': (['train/Visible/00001.png', 'train/Infrared/00001.png', 'train/Label/00001.png',
             'test/Visible/00003.png', 'test/Infrared/00003.png'],
            [('00001', 'train'), ('00003', 'test')]),
    'DroneVehicle': (['train/trainimg/00001.jpg', 'train/trainimgr/00001.jpg',
                      'val/valimg/00001.jpg', 'val/valimgr/00001.jpg',
                      'test/testimg/00002.jpg', 'test/testimgr/00002.jpg'],
                     [('train_00001', 'train'), ('val_00001', 'val'), ('test_00002', 'test')]),
    'DeMMI-RF': (['Train/visible/M3FD/00001.png', 'Train/infrared/M3FD/00001.png',
                  'Train/degrad/haze/M3FD/00001.png', 'test/denoise/LLVIP/input/190001.png',
                  'test/denoise/LLVIP/visible/190001.png',
                  'test/denoise/LLVIP/infrared/190001.png'],
                 [('M3FD_00001', 'train'), ('denoise_LLVIP_190001', 'test')]),
    'TNO': (['tank/LWIR.tif', 'tank/Vis.tif', 'Athena_images/lake/IR_lake_g.bmp',
             'Athena_images/lake/VIS_lake_r.bmp', 'Athena_images/APC_2/view_1/2_fk_ge_03_005.bmp',
             'Athena_images/APC_2/view_1/1_fk_ge_03_005.bmp',
             'Athena_images/bunker/IR_bunker_g.bmp', 'Athena_images/bunker/bunker_r.bmp',
             'Triclobs_images/Farm/Farm_II.bmp', 'Triclobs_images/Farm/Farm_IR.bmp',
             'Triclobs_images/Farm/Farm_Vis.bmp', 'Triclobs_images/House/NIR.bmp',
             'Triclobs_images/House/VIS.bmp', 'FEL_images/Tree_sequence/thermal/4900i.bmp',
             'FEL_images/Tree_sequence/visual/4900v.bmp',
             'DHV_images/Fire_sequence/part_2/rad/RADheli3.bmp',
             'DHV_images/Fire_sequence/part_2/dhv/DHVheli3.bmp'],
            [('tank', ''), ('Athena_images_lake', ''), ('Athena_images_APC_2_view_1', ''),
             ('Athena_images_bunker', ''), ('Triclobs_images_Farm', ''),
             ('FEL_images_Tree_sequence_4900', ''), ('DHV_images_Fire_sequence_part_2_3', '')]),
    'folders': (['street/visible/a.png', 'street/thermal/a.png', 'yard/visible/a.png',
                 'yard/thermal/a.png'], [('street_a', ''), ('yard_a', '')]),
}


def lay_out(root, files):
    image = cv2.imencode('.png', np.full((8, 8), 90, np.uint8))[1].tobytes()
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(image)


@pytest.mark.parametrize('layout', RELEASES)
def test_a_release_is_known_by_its_folders(layout, tmp_path):
    files, wanted = RELEASES[layout]
    lay_out(tmp_path, files)
    found = find(tmp_path)
    assert found.layout == layout
    assert sorted((p.name, p.split) for p in found.pairs) == sorted(wanted)
    assert find(tmp_path, layout).pairs == found.pairs
    for pair in found.pairs:
        assert pair.visible != pair.thermal and pair.visible.is_file() and pair.thermal.is_file()


def test_every_layout_is_tried_here():
    assert set(RELEASES) == set(layouts.LAYOUTS)


@pytest.mark.parametrize('layout', RELEASES)
def test_thermal_and_visible_are_not_confused(layout, tmp_path):
    lay_out(tmp_path, RELEASES[layout][0])
    for pair in find(tmp_path).pairs:
        told = str(pair.thermal.relative_to(tmp_path)).lower()
        assert any(mark in told for mark in ('ir', 'infra', 'imgr', 'thermal', 'rad', '2_fk'))
        seen = str(pair.visible.relative_to(tmp_path)).lower()
        assert any(mark in seen for mark in ('vi', 'img/', '1_fk', 'bunker_r', 'dhv'))


def test_a_folder_of_none_names_what_was_tried(tmp_path):
    with pytest.raises(DataError) as error:
        find(tmp_path)
    told = str(error.value)
    assert str(tmp_path) in told and '\n' not in told
    assert all(name in told for name in layouts.LAYOUTS)
    with pytest.raises(DataError, match='train/vi with train/ir'):
        find(tmp_path, 'MSRS')
    with pytest.raises(DataError, match='LLVIP'):
        find(tmp_path, 'KAIST')
    with pytest.raises(DataError, match='nowhere'):
        find(tmp_path / 'nowhere')


def test_images_without_a_partner_are_told(tmp_path):
    lay_out(tmp_path, ['Vis/1.png', 'Ir/1.png', 'Vis/2.png', 'Ir/3.png'])
    assert [p.name for p in find(tmp_path).alone] == ['2.png', '3.png']


def test_the_border_of_dronevehicle_is_cut(tmp_path):
    lay_out(tmp_path, RELEASES['DroneVehicle'][0])
    framed = np.full((712, 840, 3), 255, np.uint8)
    framed[100:612, 100:740] = 40
    for path in tmp_path.glob('train/*/00001.jpg'):
        cv2.imwrite(str(path), framed)
    by_split = {p.split: read(p) for p in find(tmp_path).pairs}
    visible, thermal = by_split['train']
    assert visible.shape == (512, 640, 3) and thermal.shape == (512, 640)
    assert visible.max() < 120 and thermal.max() < 120      # JPEG rings beside white
    assert by_split['test'][1].shape == (8, 8)              # a copy already cut


def test_16_bit_thermal_is_scaled_by_its_own_range(tmp_path):
    lay_out(tmp_path, RELEASES['M3FD'][0])
    raw = np.linspace(29000, 31000, 64).reshape(8, 8).astype(np.uint16)
    cv2.imwrite(str(tmp_path / 'Ir/00000.png'), raw)
    _, thermal = read(find(tmp_path).pairs[0])
    assert thermal.dtype == np.uint8 and thermal.min() == 0 and thermal.max() == 255


def test_training_takes_a_release_without_its_test_images(tmp_path):
    lay_out(tmp_path / 'MSRS', RELEASES['MSRS'][0])
    folders = PairFolders(tmp_path, ('MSRS',), layout='auto', validation_share=0.0)
    assert len(folders.load()) == 1
    with pytest.raises(DataError, match='MSRS'):
        PairFolders(tmp_path, ('MSRS',), layout='FMB').load()


def test_a_layout_divides_and_excludes_by_the_files_own_stems(pair_root, tmp_path):
    plain = PairFolders(pair_root, ('street',), exclude=('003',), validation_share=0.4)
    for exclude in ('003', 'street_003'):       # the layout puts the folder before the stem
        laid = PairFolders(pair_root.parent, (pair_root.name,), exclude=(exclude,),
                           validation_share=0.4, layout='folders')
        for validation in (False, True):
            one, other = plain.load(validation), laid.load(validation)
            assert len(one) == len(other) and all((a[0] == b[0]).all() for a, b in zip(one, other))


def test_scenes_whose_files_share_a_stem_are_divided_by_their_names(tmp_path):
    lay_out(tmp_path / 'TNO', [f'scene{i}/{file}.tif' for i in range(12)
                               for file in ('Vis', 'LWIR')]
            + RELEASES['TNO'][0][2:4])      # by which it is known
    folders = PairFolders(tmp_path, ('TNO',), validation_share=0.4, layout='TNO')
    assert 1 < len(folders.load()) < 12


@pytest.mark.parametrize('names', [('train', 'test', 'val'), ('Training', 'Testing', 'Validation')])
def test_folders_named_by_a_split_are_of_that_split(tmp_path, names):
    for name in names:
        lay_out(tmp_path / 'set', [f'{name}/visible/a.png', f'{name}/thermal/a.png'])
    lay_out(tmp_path / 'set', ['yard/visible/a.png', 'yard/thermal/a.png'])
    found = find(tmp_path / 'set')
    assert found.layout == 'folders' and {pair.name: pair.split for pair in found.pairs} == {
        **{f'{name}_a': split for name, split in zip(names, ('train', 'test', 'val'))},
        'yard_a': ''}


@pytest.mark.parametrize('seen, heat', [('visible', 'thermal'), ('Visible', 'Infrared')])
def test_training_takes_no_published_test_or_validation_image(tmp_path, seen, heat):
    for level, split in ((50, 'train'), (100, 'val'), (150, 'test')):
        for side in (seen, heat):
            (tmp_path / 'set' / split / side).mkdir(parents=True)
            cv2.imwrite(str(tmp_path / 'set' / split / side / 'a.png'),
                        np.full((8, 8), level, np.uint8))
    folders = PairFolders(tmp_path, ('set',), layout='auto', validation_share=0.0)
    assert [[visible[0, 0, 0] for visible, _ in folders.load(validation)]
            for validation in (False, True)] == [[50], [100]]


def test_the_frames_of_a_sequence_are_divided_together(tmp_path):
    for scene in range(12):
        for side in ('visual', 'thermal'):
            folder = tmp_path / f'TNO/FEL_images/scene{scene}/{side}'
            folder.mkdir(parents=True)
            for frame in range(5):
                cv2.imwrite(str(folder / f'{frame}.bmp'), np.full((8, 8), 20 * scene, np.uint8))
    folders = PairFolders(tmp_path, ('TNO',), validation_share=0.4, layout='TNO')
    train, held = ({int(visible[0, 0, 0]) for visible, _ in folders.load(validation)}
                   for validation in (False, True))
    assert train and held and not train & held
