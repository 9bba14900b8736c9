"""What the panel says, in Simplified Chinese, by its English; a test holds it against the code."""

from __future__ import annotations

__all__ = ["CHINESE"]

CHINESE: dict[str, str] = {
    # The panel
    "Task": "任务",
    "Name": "名称",
    "Owner": "负责人",
    "Metric (PromQL)": "指标（PromQL）",
    "Limit (PromQL)": "上限（PromQL）",
    "new, from preset {preset}": "新建，预设 {preset}",
    "default: {choice}": "默认：{choice}",
    "default {value}": "默认 {value}",
    "none: forecasts without breach output": "无：只预测，不判断超限",
    "What is read": "读取的数据",
    "The model and how it learns": "模型与训练",
    "How it is judged": "模型评估",
    "What is written back": "写回的内容",
    "What counts as a breach": "超限与告警",
    "Plan": "计划",
    "What it would read, write and cost; saves nothing": "查看将读取、写入的内容及开销；不会保存",
    "Save": "保存",
    "Write params.yaml; comments stay": "写入 params.yaml；保留注释",
    "Run": "运行",
    "Fetch, train, evaluate, push": "依次运行 fetch、train、evaluate、push",
    "Cancel": "取消",
    "Alarms a week": "每周告警",
    "{alarms:.1f}: {recall} of the breaches in time": "{alarms:.1f}：{recall} 的超限得到及时预告",
    "Open": "展开",
    "Close": "收起",
    "Use this": "采用此项",
    "Set threshold, hold and gate; Save writes them": "填入阈值、持续步数与用量门槛；点“保存”才写入",
    "Fires at a chance of {chance} that has held for {hold}, while {gate} of the limit or more is in use. In "
    "the weeks that it is chosen on: {alarms:.1f} alarms a week and team, {recall} of the breaches in time.": (
        "超限概率达到 {chance} 并持续 {hold}、且用量不低于上限的 {gate} 时触发。在用于选择的数周内：每个团队每周"
        " {alarms:.1f} 次告警，{recall} 的超限得到及时预告。"
    ),
    "Stop the run": "停止运行",
    "Saved {name}.": "已保存 {name}。",
    "Nothing has changed.": "没有更改。",
    "This should not have happened: {fault}": "出现了意外错误：{fault}",
    "Reading the newest data…": "正在读取最新数据……",
    "params.yaml stays as it is.": "params.yaml 保持不变。",
    "change of params.yaml": "params.yaml 的更改",
    "; ": "；",
    ", ": "，",
    # What is wrong with a field
    "say what to forecast: the PromQL of what is used": "请填写要预测的内容：用量的 PromQL",
    "{name!r} may hold only a-z, 0-9 and _ (at most 63)": "{name!r} 不符合要求：只能使用 a-z、0-9 和 _，最多 63 个字符",
    "{text!r} is no {kind}": "{text!r} 不是{kind}",
    "mend it": "请改正",
    "somebody else has changed this task since it was opened here": "此任务在这里打开之后，已被他人修改",
    "open it again": "请重新打开",
    # The data
    "{n:,} series, the newest {span}; {missing} of the samples are missing.": (
        "{n:,} 个序列，最近 {span}；{missing} 的样本缺失。"
    ),
    "The model learns from the ticked labels; beside each stands how many values it has.": (
        "模型学习勾选的标签；括号内是各标签的取值个数。"
    ),
    # The plan
    "The plan": "计划",
    "series": "序列",
    "samples": "样本",
    "output series per push": "每次写回的输出序列",
    "weights of the network": "网络参数量",
    "minutes of training": "训练时间（分钟）",
    "not known": "未知",
    "{minutes:.1f} at most": "最多 {minutes:.1f}",
    "read from": "数据来源",
    "the demo fleet (a simulation)": "演示集群（模拟数据）",
    "Mind:": "请注意：",
    (
        "{batches} batches of {size:,} windows took {seconds:.2g} s here; {epochs:,} epochs of {per_epoch:,} batches "
        "are expected, without the start of the stages; the data read for it are the newest {span}"
    ): (
        "本机上 {batches} 批、每批 {size:,} 个窗口用时 {seconds:.2g} 秒；预计 {epochs:,} 轮、每轮 {per_epoch:,} 批，不"
        "含各阶段的启动时间；为此读取的是最近 {span}的数据"
    ),
    "it could not be timed: {fault}": "无法估算时间：{fault}",
    (
        "A Transformer pays above {many:,} samples or {long:,} steps of context; here are {samples:,} samples and "
        "{steps:,} steps: train an LSTM beside it and keep the better one."
    ): (
        "Transformer 在样本超过 {many:,} 个或上下文超过 {long:,} 步时才值得使用；这里是 {samples:,} 个样本、"
        "{steps:,} 步：请另外训练一个 LSTM，保留更好的一个。"
    ),
    "What was typed into {task} and not saved stays until this panel is closed.": (
        "在 {task} 中已输入但未保存的内容，会保留到此面板关闭为止。"
    ),
    # The run
    "Waiting, number {position} in the queue.": "排队中，第 {position} 位。",
    "Running: {place}.": "运行中：{place}。",
    "Completed.": "已完成。",
    "Cancelled.": "已取消。",
    "A newer run has taken its place.": "已被更新的运行取代。",
    "Failed. {error}": "失败：{error}",
    "starting": "启动中",
    "{stage} ({number} of {stages})": "{stage}（{number}/{stages}）",
    "cell {cell} of {cells}": "单元格 {cell}/{cells}",
    "epoch {epoch} of {epochs}": "轮次 {epoch}/{epochs}",
    "loss {loss:.4f}": "损失 {loss:.4f}",
    "at most {seconds:.0f} s left": "最多还需 {seconds:.0f} 秒",
    "waiting for another dvc command that works on the same files": "等待另一个使用相同文件的 dvc 命令结束",
    # The results
    "History, forecast with its intervals, limit and alert line.": "历史、预测及其区间、上限与告警线。",
    "Chance of reaching the alert line within the horizon": "预测时长内达到告警线的概率",
    "chance": "概率",
    "{share} lower than": "低 {share}",
    "{share} higher than": "高 {share}",
    (
        "Its loss is {verdict} that of the best baseline, {baseline}; the 80 % interval held {held} of {n:,} "
        "held-out values. Model {model}, version {version}; written to {place}."
    ): (
        "模型的损失比最佳基线 {baseline} {verdict}；80 % 区间覆盖了 {n:,} 个留出值中的 {held}。模型 {model}，版本 "
        "{version}；已写入 {place}。"
    ),
    # The figures
    "used": "用量",
    "limit": "上限",
    "what came": "实际值",
    "no samples": "无样本",
    "no samples here": "此处没有样本",
    "median forecast": "预测中位数",
    "{share} interval": "{share} 区间",
    "alert line, {share}": "告警线 {share}",
    "alert line, {share} or {left} left": "告警线 {share}，或仅剩 {left}",
    "chance of breach {chance}": "超限概率 {chance}",
    "no forecast: {reason}": "无预测：{reason}",
    "time in {zone}": "时间（{zone}）",
    "No series has a sample": "没有序列有样本",
    "No series to forecast": "没有可预测的序列",
    "{n} of {total:,} series": "{total:,} 个序列中的 {n} 个",
    "{reached} of these {n} series reached their limit": "这 {n} 个序列中有 {reached} 个曾达到上限",
    "Forecast of the next {span}": "未来 {span}的预测",
    "More likely than not to reach the line within {span}: {likely} of these {n} series": (
        "这 {n} 个序列中有 {likely} 个在 {span}内达到告警线的概率过半"
    ),
    "{n:,} d": "{n:,} 天",
    "{n:,} h": "{n:,} 小时",
    "{n:,} min": "{n:,} 分钟",
    "{n:,} s": "{n:,} 秒",
    "%b": "%m月",
    "%b-%d": "%m-%d",
    # The presets
    "Quotas run 85–95 % full and follow working weeks: nine days of context, a day ahead, breaches from 98 % on.": (
        "配额使用率通常在 85–95 %，并随工作周起伏：回看九天，预测一天，达到 98 % 即为超限。"
    ),
    "GPU memory moves in plateaus with the jobs: three days of context show who runs what, half a day ahead.": (
        "显存用量随作业呈阶梯状变化：回看三天，可知谁在运行什么；预测半天。"
    ),
    "Links saturate at peaks, not in total: query the peak of an interval, two days back, six hours ahead.": (
        "链路饱和取决于峰值而非总量：请查询时段内的峰值；回看两天，预测六小时。"
    ),
    "CPU is bounded by 0 and 100 % and follows the hours of work: a week of context, half a day ahead.": (
        "CPU 使用率介于 0 与 100 % 之间，随上下班时间变化：回看一周，预测半天。"
    ),
    "Any PromQL: say the query, and the limit if there is one; counters need rate().": (
        "任意 PromQL：请填写查询；如有上限，一并填写。计数器需要 rate()。"
    ),
    # What the keys of a task take
    "PromQL or number": "PromQL 或数字",
    "choice": "选项",
    "duration": "时长",
    "integer": "整数",
    "label or text": "标签或文本",
    "list": "列表",
    "mapping": "映射",
    "number": "数字",
    "size or number": "大小（如 500GiB）或数字",
    "time of day": "时刻",
    "time zone": "时区",
    "epochs": "轮",
    "heads": "头",
    "layers": "层",
    "networks": "网络",
    "probability": "概率",
    "share": "比例",
    "share of the limit": "占上限的比例",
    "steps": "步",
    "units": "单元",
    "windows": "窗口",
    # What the keys of a task are for
    "who is asked when an alarm fires": "告警触发时的联系人",
    "PromQL of what is used": "用量的 PromQL",
    "PromQL or number of what may be used; null: no breach output": "上限的 PromQL 或数值；null 表示不判断超限",
    "name -> PromQL of a series that may explain the metric": "名称 -> PromQL：可能影响该指标的其他序列（协变量）",
    "distance of two samples": "相邻两个样本的间隔",
    "how much is read, up to snapshot.until": "读取多长的历史，截至 snapshot.until",
    "kind of network": "网络类型",
    "steps the model looks back": "模型回看的步数",
    "steps it looks ahead, all in one go": "模型一次预测的步数",
    "labels it learns from; series without them are fine": "模型学习的标签；缺少这些标签的序列也可以",
    "inputs made of the metric itself: its change in a step, its largest rise in the last day": (
        "由指标自身得出的输入：每一步的变化、最近一天内的最大升幅"
    ),
    "the clock that people on this cluster live by": "集群用户作息所用的时区",
    "first moment of the night": "夜间的开始时刻",
    "first moment of the day": "白天的开始时刻",
    "country, such as CN or US-CA": "节假日所属的国家或地区，例如 CN 或 US-CA",
    "lowest and highest possible value": "可能的最小值与最大值",
    "passes at the most; early stopping ends sooner": "最多训练的轮数；早停会提前结束",
    "windows in a step of the optimiser; 0: as many as pay and fit into memory": (
        "优化器每步的窗口数；0 表示自动选择：内存放得下且有收益的最大数量"
    ),
    "largest step size of the schedule": "学习率调度中的最大值",
    "of the learning rate: a short rise, then a cosine to 0; that fall alone; or neither": (
        "学习率的变化：先短暂上升再按余弦降至 0；仅按余弦下降；保持不变"
    ),
    "share of the units that are left out while it learns": "训练时随机丢弃的单元比例",
    "width of every kind but the Transformer": "网络宽度（Transformer 除外）",
    "layers of the network": "网络的层数",
    "width of the Transformer": "Transformer 的宽度",
    "attention heads; must divide d_model, or hidden_dim for attention": (
        "注意力头数；须能整除 d_model，attention 网络则须整除 hidden_dim"
    ),
    "epochs without a better validation loss": "验证损失连续多少轮没有改善即停止",
    "windows drawn for an epoch, at most": "每轮最多抽取的窗口数",
    "share of the windows that are taught a change of level": "用于学习水平突变的窗口比例",
    "networks trained side by side; their quantiles are averaged": "并行训练的网络数；对其分位数取平均",
    "largest norm of a gradient": "梯度的最大范数",
    "how strongly large weights are pulled towards 0": "把较大权重拉向 0 的强度",
    "samples in a row at the line that make a breach": "连续多少个样本达到告警线才算超限",
    "levels that are learnt, increasing, with 0.1, 0.5 and 0.9 among them": (
        "要学习的分位数，须递增并包含 0.1、0.5 和 0.9"
    ),
    "the newest data, kept from training to judge it": "留出的最新数据，不参与训练，用于评估",
    "auto: the GPU where torch sees one": "auto：torch 能识别到 GPU 时使用 GPU",
    "the same seed and data give the same model on the CPU": "在 CPU 上，相同的种子和数据得到相同的模型",
    "weights that training begins with: new ones, or those of the model in use": (
        "训练的初始权重：fresh 为全新，champion 为沿用当前模型"
    ),
    "of the products while it learns; bfloat16 is for GPUs that are built for it": (
        "训练时乘法运算的精度；bfloat16 适用于硬件支持它的 GPU"
    ),
    "processes that train together, one per GPU": "共同训练的进程数，每个 GPU 一个",
    "distance of two origins of the backtest": "回测中相邻两个预测起点的间隔",
    "how far ahead; by default those of these that the model reaches, else all of its reach": "写回的预测提前量；"
    "默认取其中模型能达到的，都达不到时取模型的全部预测长度",
    "levels, inside train.quantiles": "写回的分位数，须在 train.quantiles 的范围内",
    "labels that sums over the other labels keep, such as group, or lists of them; forecasts of series add up to "
    "theirs": "汇总时保留的标签，例如 group（对其余标签求和），也可写多组；各序列的预测之和等于汇总的预测",
    "PromQL of the limits of the totals; by default the limits of the series add up": (
        "汇总上限的 PromQL；默认为各序列上限之和"
    ),
    "more output series are refused before anything is sent": "输出序列多于此数时，在发送之前就会拒绝",
    "also write the median as ai_forecast_ALIAS{horizon}": "同时将中位数写为 ai_forecast_ALIAS{horizon}",
    "share of the limit at which it counts as reached": "用量占上限的比例达到此值，即视为达到上限",
    "it counts as reached, too, where no more than this is left: in the metric's unit, or as 500GiB": (
        "剩余量不超过此值时，也视为达到上限：用指标的单位，或写成 500GiB"
    ),
    "auto: probability, hold and gate are chosen by replay, if it saw enough breaches; fixed: as set": (
        "auto：回放中的超限足够多时，由回放选定 probability、hold 和 gate；fixed：按设定值"
    ),
    "an alarm fires at this breach probability": "超限概率达到此值时触发告警",
    "steps for which the probability must hold before it fires": "概率须持续多少步才触发告警",
    "share of the limit that must be in use before it fires": "用量占上限的比例达到此值才触发告警",
    "the time to the limit is the earliest with this breach probability": (
        "超限概率最早达到此值的时刻，即为预计达到上限的时间"
    ),
    "notice that people need, within the horizon; a later alarm is late": (
        "处置所需的提前量，须在预测时长之内；晚于此的告警视为过晚"
    ),
    "alarms a week that people can bear, per team and on average": "每个团队平均每周可承受的告警次数",
    "label whose values are teams; by default all go to the owner": "以团队为取值的标签；默认全部发给负责人",
    "CSV of owners, a path or an address: columns are labels and `owner`; the others have the task's": (
        "负责人 CSV 的路径或地址：各列为标签和 `owner`；未列出的序列归任务的负责人"
    ),
    "first moment of work": "上班时刻",
    "first moment after work; before `start` for a shift past midnight": "下班时刻；跨午夜的班次早于 `start`",
    "days of work": "工作日",
    "address of the page that says what to do": "处置手册页面的地址",
    "cost of an alarm without a breach": "误报的代价：有告警而没有超限",
    "cost of a breach without an alarm": "漏报的代价：超限而没有告警",
    "cost of a breach whose alarm left no time to act": "告警过晚的代价：超限前已来不及处置",
}
