"""The rows of the paper's tables and the rows that we add, with the paper's figures (HMR-Adapter, ACM MM 2024)."""
from dataclasses import dataclass, field, replace

THREE_MEASURES = ('PA-PVE', 'PVE', 'PA-MPJPE')  # columns of the paper, in its order, under our logged names
HANDS_OF_TABLE_5 = ('PA-PVE', 'PVE')
PERSON_MEASURES = ('PA-PVE', 'PA-PVE/hands', 'PVE', 'PVE/hands', 'PA-MPJPE', 'PA-MPJPE/hands')
BODY_MEASURES = ('PVE', 'PA-MPJPE', 'MPJPE')


@dataclass(frozen=True)
class Row:
    """One way to adapt an expert, or to put two together.

    key: unique in its part, names the folders of its runs.  title: as in reports.  config: below configs/ablations; None is the
    frozen base, which is not trained.  paper: its figures by measure, mm.  params: the paper's trainable parameters.
    guided: reads the other part's guidance, so it is evaluated with true, predicted and no guidance.  train_guidance:
    'annotation', or 'predicted' by the frozen whole-body expert, as guidance at test time is.  adapters: the rows by part whose
    adapters a dual path loads; it does not learn as a whole.
    """
    key: str
    title: str
    config: str | None
    paper: dict[str, float] = field(default_factory=dict)
    params: str = ''
    guided: bool = False
    train_guidance: str = 'annotation'
    adapters: dict[str, 'Row'] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table of the paper: rows of one part under the measures it shows. part: 'hand', 'body', or of whole persons 'dual' on
    the scale's own data, 'dual_ehf', 'dual_3dpw'.  note: where the paper measures otherwise.  references: keys of rows that the
    others are told against, besides the frozen expert."""
    number: int
    part: str
    title: str
    measures: tuple[str, ...]
    rows: tuple[Row, ...]
    note: str = ''
    references: tuple[str, ...] = ()


def _paper(measures: tuple[str, ...], *values: float) -> dict[str, float]:
    return dict(zip(measures, values, strict=True))


def _three(*values: float) -> dict[str, float]:
    """PA-PVE, PVE and PA-MPJPE, of hands or of bodies."""
    return _paper(THREE_MEASURES, *values)


BASE = Row('base', 'frozen expert', None, _three(16.2, 38.5, 17.1))
OURS = Row('no6_ours', 'No. 6, adapter with the arm\'s pose (ours)', 'hand/table3_no6_ours', _three(8.4, 24.1, 8.5), '27M',
           True)
CONCATENATION = Row('no4_concatenation', 'No. 4, concatenation, decoder learns', 'hand/table3_no4_concatenation',
                    _three(17.9, 36.7, 18.4), '39M', True)
BODY_BASE = Row('base', 'frozen expert', None, _three(29.3, 48.5, 28.9))
BODY_OURS = Row('no6_ours', 'No. 6, adapter with the hands\' features (ours)', 'body/table4_no6_ours', _three(20.7, 24.7, 21.0),
                '37M', True)
BODY_CONCATENATION = Row('no4_concatenation', 'No. 4, concatenation, decoder learns', 'body/table4_no4_concatenation',
                         _three(23.6, 29.9, 25.1), '31M', True)


def _again(row: Row, title: str, paper: dict[str, float]) -> Row:
    """The same runs under another table's name and figures."""
    return replace(row, title=title, paper=paper)


def _dual(part: str, data: str, measures: tuple[str, ...], expert: tuple, combined: tuple, ours: tuple) -> Table:
    """A table of whole persons: the rows of the paper's tables 1 and 2 that are ours to run, and a second round."""
    adapters = dict(hand=OURS, body=BODY_OURS)
    return Table(1 if part != 'dual_3dpw' else 2, part, f'whole persons{data}', measures, (
        Row('expert', 'whole-body expert', 'dual/table1_expert', _paper(measures, *expert)),
        Row('combined', 'experts combined', 'dual/table1_combined', _paper(measures, *combined)),
        Row('ours', 'dual path (ours)', 'dual/table1_ours', _paper(measures, *ours), adapters=adapters),
        Row('two_rounds', 'dual path, a second round', 'dual/two_rounds', adapters=adapters)), references=('ours',))


TABLES = {
    '1': _dual('dual', '', PERSON_MEASURES, (29.3, 18.9, 48.5, 38.3, 28.9, 19.2), (28.3, 16.4, 47.0, 39.0, 27.8, 17.4),
               (23.9, 10.5, 40.7, 23.6, 24.0, 11.0)),
    '1-ehf': _dual('dual_ehf', ' of EHF', PERSON_MEASURES, (39.0, 14.8, 56.9, 42.2, 43.2, 14.7),
                   (43.0, 12.3, 59.7, 52.2, 43.5, 12.1), (36.8, 10.0, 57.1, 32.4, 42.0, 9.9)),
    '2': _dual('dual_3dpw', ' of 3DPW', BODY_MEASURES, (86.1, 50.6, 75.0), (88.3, 46.7, 78.3), (82.1, 44.0, 73.0)),
    '3': Table(3, 'hand', 'fine-tuning of the hand expert', THREE_MEASURES, (
        BASE,
        Row('no1_full', 'No. 1, full fine-tuning', 'hand/table3_no1_full', _three(13.9, 45.3, 15.0), '671M'),
        Row('no2_scratch', 'No. 2, from scratch, twice the steps', 'hand/table3_no2_scratch', _three(15.1, 53.3, 16.3), '671M'),
        Row('no3_decoder', 'No. 3, decoder head', 'hand/table3_no3_decoder', _three(14.1, 56.1, 15.1), '39M'),
        CONCATENATION,
        Row('no5_image_tokens', 'No. 5, adapter with the image tokens', 'hand/table3_no5_image_tokens', _three(9.0, 30.9, 9.2),
            '27M'),
        OURS)),
    '4': Table(4, 'body', 'fine-tuning of the whole-body expert', THREE_MEASURES, (
        BODY_BASE,
        Row('no1_full', 'No. 1, full fine-tuning', 'body/table4_no1_full', _three(19.5, 24.4, 21.1), '662M'),
        Row('no2_scratch', 'No. 2, from scratch, twice the steps', 'body/table4_no2_scratch', _three(27.0, 35.0, 34.6), '662M'),
        Row('no3_decoder', 'No. 3, decoder head', 'body/table4_no3_decoder', _three(21.0, 25.1, 21.2), '31M'),
        BODY_CONCATENATION,
        Row('no5_task_tokens', 'No. 5, adapter with the task tokens', 'body/table4_no5_task_tokens', _three(20.8, 24.7, 21.2),
            '37M'),
        BODY_OURS)),
    '5': Table(5, 'hand', 'ways to inject the body\'s pose into the hand expert', HANDS_OF_TABLE_5, (
        _again(BASE, 'frozen expert', _paper(HANDS_OF_TABLE_5, 16.4, 39.0)),
        _again(CONCATENATION, 'concatenation', _paper(HANDS_OF_TABLE_5, 15.2, 41.9)),
        Row('weighted_sum', 'weighted sum', 'hand/table5_weighted_sum', _paper(HANDS_OF_TABLE_5, 12.1, 26.0), guided=True),
        Row('whole_body_pose', 'whole-body pose', 'hand/table5_whole_body_pose', _paper(HANDS_OF_TABLE_5, 13.4, 27.7),
            guided=True),
        _again(OURS, 'HMR-Adapter (ours)', _paper(HANDS_OF_TABLE_5, 10.5, 23.6))),
        'The paper\'s last row is that of its table 1, so it measured the hands of whole persons; its frozen row here is table '
        '1\'s experts combined. Here hands are seen in their true boxes.'),
    '6': Table(6, 'body', 'ways to inject the hands\' features into the whole-body expert', THREE_MEASURES, (
        _again(BODY_BASE, 'frozen expert', _three(39.0, 56.9, 43.2)),
        _again(BODY_CONCATENATION, 'concatenation', _three(79.3, 95.4, 94.0)),
        Row('weighted_sum', 'weighted sum', 'body/table6_weighted_sum', _three(57.0, 74.5, 68.0), guided=True),
        _again(BODY_OURS, 'HMR-Adapter (ours)', _three(36.8, 57.1, 42.0))),
        'The paper measured this table on EHF; its frozen row here is that of its table 1. Here it is the persons of table 4.'),
}

# Rows of no table of the paper.
BEYOND = {
    'beyond-hand': Table(0, 'hand', 'beyond the paper: the hand adapter', THREE_MEASURES, (
        _again(BASE, 'frozen expert', {}),
        _again(OURS, 'the paper\'s adapter', {}),
        Row('lora_decoder', 'LoRA on the decoder', 'hand/hand_lora_decoder'),
        Row('lora_backbone', 'LoRA on the backbone', 'hand/hand_lora_backbone'),
        Row('bottleneck', 'bottleneck adapters', 'hand/hand_bottleneck'),
        Row('guidance_noise', 'adapter, trained on noisy guidance', 'hand/hand_guidance_noise', guided=True),
        Row('zero_gate', 'adapter, gates start at zero', 'hand/hand_zero_gate', guided=True),
        Row('joint_embedding', 'adapter, a code per joint', 'hand/hand_joint_embedding', guided=True),
        Row('predicted_training', 'adapter, trained on predicted bodies', 'hand/table3_no6_ours', guided=True,
            train_guidance='predicted'),
        Row('weighted_predicted', 'weighted sum, trained on predicted bodies', 'hand/table5_weighted_sum', guided=True,
            train_guidance='predicted'),
        Row('kinematic', 'kinematic guidance (our design)', 'hand/hand_kinematic', guided=True),
        Row('kinematic_predicted', 'kinematic guidance, trained on predicted bodies', 'hand/hand_kinematic', guided=True,
            train_guidance='predicted'),
        Row('rate_predicted', 'adapter, trained on predicted bodies, 4x rate', 'hand/hand_rate', guided=True,
            train_guidance='predicted'),
        Row('occlusion_predicted', 'adapter, trained on predicted bodies and covered hands, 4x rate', 'hand/hand_occlusion',
            guided=True, train_guidance='predicted'),
        Row('kinematic_occlusion_predicted', 'kinematic guidance, compared, no gates, predicted bodies, covered hands, 4x rate',
            'hand/hand_kinematic_occlusion', guided=True, train_guidance='predicted')),
        references=('no6_ours', 'predicted_training')),
    'beyond-body': Table(0, 'body', 'beyond the paper: the body adapter', THREE_MEASURES, (
        _again(BODY_BASE, 'frozen expert', {}),
        _again(BODY_OURS, 'the paper\'s adapter', {}),
        Row('lora_decoder', 'LoRA on the decoder', 'body/body_lora_decoder'),
        Row('lora_backbone', 'LoRA on the backbone', 'body/body_lora_backbone'),
        Row('bottleneck', 'bottleneck adapters', 'body/body_bottleneck'),
        Row('joint_embedding', 'adapter, a code per knuckle', 'body/body_joint_embedding', guided=True),
        Row('predicted_training', 'adapter, trained on predicted knuckles', 'body/table4_no6_ours', guided=True,
            train_guidance='predicted')), references=('no6_ours',)),
}


def table(name: str) -> Table:
    """A table of TABLES or BEYOND; ValueError for another name."""
    known = TABLES | BEYOND
    if name not in known:
        raise ValueError(f'--table is {name!r}; there are {", ".join(known)}.')
    return known[name]
