"""How often the program finds the side of a hand that was not given (`--hand auto`), on a dataset whose sides are known.

    python tools/analysis_tools/measure_side_choice.py configs/open/hand_adapter_open.py --count 200

Prints the accuracy of the rule with and without a body, and of the body's part alone, with 95 % intervals.
The network is not guided; the body is the dataset's, which for an annotated one says more than a predicted body would.
"""
import argparse
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from hmradapter.apis import HandModel, infer_hands, init_model
from hmradapter.apis.inputs import read_picture
from hmradapter.apis.side_choice import box_mismatch, implausibility, wrist_disagreement
from hmradapter.evaluation.tables import text_table
from hmradapter.registry import DATASETS

SIDES = ('right', 'left')


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config of model and test dataset')
    parser.add_argument('--checkpoint', help="the expert's weights, instead of those that the config names")
    parser.add_argument('--adapter', help='adapter.safetensors; without it the expert alone')
    parser.add_argument('--count', type=int, default=200, help='hands, evenly over the dataset')
    parser.add_argument('--device', default='auto')
    return parser.parse_args(argv)


def main(argv=None) -> int:
    args = parse_args(argv)
    model = init_model(args.config, args.checkpoint, args.adapter, args.device)
    hand_model = HandModel.of(model.body_model)
    dataset = DATASETS.build(dict(model.cfg.test_dataloader.dataset, pipeline=[]))
    rules = {'with a body': implausibility, 'without': lambda option, body: box_mismatch(option),
             'body alone': wrist_disagreement}
    right = {name: [] for name in rules}
    truth = []
    for index in tqdm(np.linspace(0, len(dataset) - 1, min(args.count, len(dataset))).round().astype(int)):
        hand = dataset.get_data_info(int(index))
        center, half = np.asarray(hand['box_center']), np.asarray(hand['box_wh']) / 2
        box = [*(center - half), *(center + half)]
        options = infer_hands(model, read_picture(Path(hand['img_path'])), [box, box], SIDES, hand_model=hand_model)
        truth.append(hand['hand'])
        for name, cost in rules.items():
            costs = [cost(option, hand['body_pose']) for option in options]
            right[name].append(options[int(np.argmin(costs))].hand == hand['hand'])
    truth = np.array(truth)
    rows = [[name, *(_share(np.array(found)[truth == side]) for side in SIDES), _share(np.array(found))]
            for name, found in right.items()]
    print(text_table(['chosen by', *SIDES, f'all {len(truth)}'], rows))
    return 0


def _share(found: np.ndarray) -> str:
    """Share of True with the half width of its normal 95 % interval."""
    if not len(found):
        return '-'
    share = found.mean()
    return f'{share:.1%} +- {1.96 * np.sqrt(share * (1 - share) / len(found)):.1%}'


if __name__ == '__main__':
    sys.exit(main())
