"""Train a model from a config.

    python tools/train.py configs/open/hand_adapter_open.py
    python tools/train.py CONFIG --resume                              go on from the latest checkpoint of the work dir
    python tools/train.py CONFIG --cfg-options train_cfg.max_iters=100 data_root=/data/arctic
    bash tools/dist_train.sh CONFIG 4                                  4 processes, on 4 GPUs or on the CPU

Writes checkpoints, adapter.safetensors, logs and TensorBoard scalars to work_dirs/<config name>.
"""
import argparse
import sys
from pathlib import Path

from mmengine.config import DictAction

from hmradapter.engine import HMRRunner
from hmradapter.engine.config import load_config
from hmradapter.engine.launch import LAUNCHERS, join_processes, leave_processes, mistakes_told_plainly, set_resume


def parse_args(argv=None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of checkpoints and logs (default: work_dirs/<config name>)')
    parser.add_argument('--resume', nargs='?', const='auto', metavar='CHECKPOINT',
                        help='go on from a checkpoint; without a value, from the latest in the work dir, if there is one')
    parser.add_argument('--adapter', metavar='FILE', help='start from this adapter.safetensors instead of a new adapter')
    parser.add_argument('--no-validate', action='store_true', help='do not evaluate during training')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='KEY=VALUE',
                        help='change config entries, e.g. model.adapter.joints=body data_root=/data/arctic')
    parser.add_argument('--launcher', choices=LAUNCHERS, default='none', help='who started the processes')
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)  # older torch launchers pass it
    return parser.parse_args(argv)


def main(argv=None) -> None:
    args = parse_args(argv)
    try:
        start = {'model.adapter_file': args.adapter} if args.adapter else {}
        cfg = load_config(args.config, args.cfg_options | start)
        cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs') / Path(args.config).stem)
        if args.no_validate:
            cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
        set_resume(cfg, args.resume)
        join_processes(cfg, args.launcher)
    except (ValueError, FileNotFoundError) as error:  # the user's mistakes, told without a traceback
        sys.exit(f'{Path(sys.argv[0]).name}: {error}')
    with mistakes_told_plainly():
        HMRRunner.from_cfg(cfg).train()
    leave_processes()


if __name__ == '__main__':
    main()
