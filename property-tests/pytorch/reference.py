"""Makes reference.safetensors: what PyTorch computes for every kind of block, small networks, a mixture.

    python reference.py        (needs torch and safetensors; takes some seconds)

The modules below are written from the papers, with plain torch.nn layers. Everything runs in float64. Inputs, weights and
running statistics are not stored: both sides fill them by name (`fill`, the rule of ../Filled.ts), rounded to float32.
Names and layouts of the state are those that src/search-space/TorchNames.ts knows.

A case is drawn again, with another salt, until no value before an activation or a gate lies within 1e-4 of a kink and no
maximum of a window is won by less, so that rounding cannot flip one. Tensors of a case NAME:
  NAME/output           in evaluation and in training mode, [2, batch, channels, height, width]; of networks [2, batch, classes]
  NAME/input            gradient of the input, training mode: of the sum of outputs times fill("cotangent"); of networks of
                        and mixtures the mean cross entropy
  NAME/gradient         gradients of all parameters, flat, in the order of their sorted names
  NAME/after            the state, flat, in the order of sorted names: of blocks and mixtures the running statistics after the pass; of
                        networks parameters and running statistics after `steps` steps of SGD (rate 0.05, momentum 0.9,
                        weight decay 4e-5)
  NAME/weights          of mixtures: gradient of the logits whose softmax weighs the options of every layer
The header's `cases` describes them. What is printed are the errors of PyTorch's own float32 run, norm-wise, as the test
compares; of `after`, of the change.
"""
import copy
import json
import math
import os

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
MARGIN = 1e-4
CLASSES = 4


def fill(name, shape, low=-0.5, high=0.5):
    state = 0
    for character in name:
        state = (state * 31 + ord(character)) % 65521
    values = np.empty(math.prod(shape))
    for i in range(values.size):
        state = (state * 4093 + 12345) % 65521
        values[i] = low + ((high - low) * state) / 65521
    return torch.from_numpy(values.astype(np.float32).reshape(shape).astype(np.float64))


class Kinks:
    """The smallest distance of a value to a kink since `reset`."""

    nearest = math.inf

    @classmethod
    def reset(cls):
        cls.nearest = math.inf

    @classmethod
    def see(cls, x, *kinks):
        for kink in kinks:
            cls.nearest = min(cls.nearest, (x.detach() - kink).abs().min().item())


class Activation(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.name = name

    def forward(self, x):
        if self.name == "relu":
            Kinks.see(x, 0)
            return F.relu(x)
        if self.name == "relu6":
            Kinks.see(x, 0, 6)
            return F.relu6(x)
        if self.name == "hswish":
            Kinks.see(x, -3, 3)
            return F.hardswish(x)
        return x


class ConvBnAct(nn.Module):
    """Convolution, batch normalisation, activation."""

    def __init__(self, cin, cout, kernel=1, stride=1, dilation=1, groups=1, padding=None, bias=False, norm=True, act="none"):
        super().__init__()
        padding = dilation * (kernel - 1) // 2 if padding is None else padding
        self.conv = nn.Conv2d(cin, cout, kernel, stride, padding, dilation, groups, bias=bias)
        if norm:
            self.bn = nn.BatchNorm2d(cout)
        if act == "prelu":
            self.prelu = nn.PReLU(cout)
        self.norm = norm
        self.act = None if act == "prelu" else Activation(act)

    def forward(self, x):
        x = self.conv(x)
        if self.norm:
            x = self.bn(x)
        if self.act is not None:
            return self.act(x)
        Kinks.see(x, 0)
        return self.prelu(x)


class Gate(nn.Module):
    """Squeeze-and-excitation (Hu et al. 2018) with the hard sigmoid of MobileNetV3 (Howard et al. 2019)."""

    def __init__(self, channels):
        super().__init__()
        self.squeeze_conv = nn.Conv2d(channels, max(1, channels // 4), 1)
        self.excite_conv = nn.Conv2d(max(1, channels // 4), channels, 1)

    def forward(self, x):
        squeezed = self.squeeze_conv(F.adaptive_avg_pool2d(x, 1))
        Kinks.see(squeezed, 0)
        excited = self.excite_conv(F.relu(squeezed))
        Kinks.see(excited, -3, 3)
        return x * F.hardsigmoid(excited)


def shuffle(x, groups):
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


class Separable(nn.Module):
    """A depthwise, then a pointwise convolution (as DARTS uses them: Liu et al. 2019), normalised and activated once."""

    def __init__(self, cin, cout, stride, kernel, activation="relu6", norm=True, dilation=1):
        super().__init__()
        self.depthwise = ConvBnAct(cin, cin, kernel, stride, dilation, groups=cin, norm=False)
        self.pointwise = ConvBnAct(cin, cout, norm=norm, act=activation)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Mobile(nn.Module):
    """The inverted residual (Sandler et al. 2018); groups with a shuffle between as in ShuffleNet (Zhang et al. 2018)."""

    def __init__(self, cin, cout, stride, kernel, expansion, activation="relu6", squeezeExcite=False, pointGroups=1,
                 channelShuffle=False):
        super().__init__()
        hidden = int(cin * expansion)
        self.residual = stride == 1 and cin == cout
        self.shuffled = pointGroups if channelShuffle else 1
        if expansion != 1:
            self.point_wise = ConvBnAct(cin, hidden, groups=pointGroups, act=activation)
        self.depthwise = ConvBnAct(hidden, hidden, kernel, stride, groups=hidden, act=activation)
        if squeezeExcite:
            self.se = Gate(hidden)
        self.point_wise_1 = ConvBnAct(hidden, cout, groups=pointGroups)

    def forward(self, x):
        y = self.point_wise(x) if hasattr(self, "point_wise") else x
        y = self.depthwise(shuffle(y, self.shuffled))
        y = self.se(y) if hasattr(self, "se") else y
        y = self.point_wise_1(y)
        return x + y if self.residual else y


class Normalised(nn.Module):
    def __init__(self, channels, activation):
        super().__init__()
        self.bn = nn.BatchNorm2d(channels)
        if activation == "prelu":
            self.prelu = nn.PReLU(channels)
        self.act = None if activation == "prelu" else Activation(activation)

    def forward(self, x):
        x = self.bn(x)
        if self.act is not None:
            return self.act(x)
        Kinks.see(x, 0)
        return self.prelu(x)


class Mixed(nn.Module):
    """The inverted residual with mixed depthwise kernels (Tan and Le 2019); the last kernel takes what does not divide."""

    def __init__(self, cin, cout, stride, kernels, expansion, activation="relu6", squeezeExcite=False, pointGroups=1):
        super().__init__()
        hidden = int(cin * expansion)
        share = hidden // len(kernels)
        self.widths = [share] * (len(kernels) - 1) + [hidden - share * (len(kernels) - 1)]
        self.residual = stride == 1 and cin == cout
        if expansion != 1:
            self.point_wise = ConvBnAct(cin, hidden, groups=pointGroups, act=activation)
        self.mixconv = nn.ModuleList(
            nn.Conv2d(width, width, kernel, stride, kernel // 2, groups=width, bias=False)
            for kernel, width in zip(kernels, self.widths)
        )
        self.bn_act = Normalised(hidden, activation)
        if squeezeExcite:
            self.se = Gate(hidden)
        self.point_wise_1 = ConvBnAct(hidden, cout, groups=pointGroups)

    def forward(self, x):
        y = self.point_wise(x) if hasattr(self, "point_wise") else x
        y = torch.cat([conv(part) for conv, part in zip(self.mixconv, y.split(self.widths, 1))], 1)
        y = self.bn_act(y)
        y = self.se(y) if hasattr(self, "se") else y
        y = self.point_wise_1(y)
        return x + y if self.residual else y


class Unified(nn.Module):
    """The unified block of SGNAS (Huang and Chu 2021) as decoded: the sub-blocks that are there; one alone has no expansion."""

    def __init__(self, cin, cout, stride, slots, activation="relu6"):
        super().__init__()
        kernels = [kernel for kernel in slots if kernel > 0]
        self.width = cin
        self.residual = stride == 1 and cin == cout
        if len(kernels) > 1:
            self.point_wise = ConvBnAct(cin, cin * len(kernels), act=activation)
        self.mixconv = nn.ModuleList(
            nn.Conv2d(cin, cin, kernel, stride, kernel // 2, groups=cin, bias=False) for kernel in kernels
        )
        self.bn_act = Normalised(cin * len(kernels), activation)
        self.point_wise_1 = ConvBnAct(cin * len(kernels), cout)

    def forward(self, x):
        y = self.point_wise(x) if hasattr(self, "point_wise") else x
        y = torch.cat([conv(part) for conv, part in zip(self.mixconv, y.split(self.width, 1))], 1)
        y = self.point_wise_1(self.bn_act(y))
        return x + y if self.residual else y


class Shuffle(nn.Module):
    """The units of ShuffleNetV2 (Ma et al. 2018) with a free kernel, and with three depthwise convolutions (Guo et al. 2020)."""

    def __init__(self, cin, cout, stride, kernel=3, xception=False, activation="relu6", widening="half"):
        super().__init__()
        self.widens = stride != 1 or cin != cout
        half = cout // 2
        side = (cin if widening == "keep" else half) if self.widens else half
        start, end = (cin, cout - side) if self.widens else (half, half)
        if self.widens:
            self.branch_1 = nn.Sequential(
                ConvBnAct(cin, cin, kernel, stride, groups=cin), ConvBnAct(cin, side, act=activation)
            )
        if xception:
            layers = []
            for i, (before, after) in enumerate([(start, half), (half, half), (half, end)]):
                layers.append(ConvBnAct(before, before, 3, stride if i == 0 else 1, groups=before))
                layers.append(ConvBnAct(before, after, act=activation))
        else:
            layers = [
                ConvBnAct(start, half, act=activation),
                ConvBnAct(half, half, kernel, stride, groups=half),
                ConvBnAct(half, end, act=activation),
            ]
        self.branch_2 = nn.Sequential(*layers)

    def forward(self, x):
        left, right = (self.branch_1(x), x) if self.widens else x.chunk(2, 1)
        return shuffle(torch.cat([left, self.branch_2(right)], 1), 2)


class Skip(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.stride = stride
        if cin != cout:
            self.conv = nn.Conv2d(cin, cout, 1, stride, bias=False)
            self.bn = nn.BatchNorm2d(cout)

    def forward(self, x):
        if hasattr(self, "conv"):
            return self.bn(self.conv(x))
        return x if self.stride == 1 else F.avg_pool2d(x, self.stride, self.stride, ceil_mode=True)


class Zero(nn.Module):
    def __init__(self, cin, cout, stride):
        super().__init__()
        self.cout, self.stride = cout, stride

    def forward(self, x):
        return x[:, :1, :: self.stride, :: self.stride].expand(-1, self.cout, -1, -1) * 0


class Pool(nn.Module):
    def __init__(self, kind, kernel, stride):
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x):
        margin = self.kernel // 2
        if self.kind == "AveragePool":
            return F.avg_pool2d(x, self.kernel, self.stride, margin, count_include_pad=False)
        windows = F.pad(x.detach(), [margin] * 4, value=-1e9)
        windows = windows.unfold(2, self.kernel, self.stride).unfold(3, self.kernel, self.stride).flatten(4)
        best = windows.topk(2, -1).values
        Kinks.see(best[..., 0] - best[..., 1], 0)
        return F.max_pool2d(x, self.kernel, self.stride, margin)


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling with image-level features (Chen et al. 2017, section 3.3)."""

    def __init__(self, cin, cout, stride, rates, kernel=3, activation="relu6"):
        super().__init__()
        self.point = ConvBnAct(cin, cout, stride=stride, act=activation)
        self.rate = nn.ModuleList(ConvBnAct(cin, cout, kernel, stride, rate, act=activation) for rate in rates)
        self.image = ConvBnAct(cin, cout, act=activation)
        self.join = ConvBnAct(cout * (len(rates) + 2), cout, act=activation)

    def forward(self, x):
        y = self.point(x)
        image = self.image(F.adaptive_avg_pool2d(x, 1))
        image = F.interpolate(image, y.shape[2:], mode="bilinear", align_corners=False)
        return self.join(torch.cat([y, *(rate(x) for rate in self.rate), image], 1))


class Ghost(nn.Module):
    """The Ghost module (Han et al. 2020, section 3.1): half of the channels by a convolution, half from these, depthwise."""

    def __init__(self, cin, cout, stride, kernel=1, cheapKernel=3, activation="relu6"):
        super().__init__()
        half = cout // 2
        self.primary_conv = ConvBnAct(cin, half, kernel, stride, act=activation)
        self.cheap_operation = ConvBnAct(half, half, cheapKernel, groups=half, act=activation)

    def forward(self, x):
        primary = self.primary_conv(x)
        return torch.cat([primary, self.cheap_operation(primary)], 1)


class GlobalAverage(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


def build(block, cin, cout, stride):
    settings = {key: value for key, value in block.items() if key != "_tag"}
    tag = block["_tag"]
    if tag == "Conv":
        groups = settings.pop("groups", 1)
        settings["act"] = settings.pop("activation", "relu6")
        return ConvBnAct(cin, cout, stride=stride, groups=cout if groups == "depthwise" else groups, **settings)
    if tag in ("AveragePool", "MaxPool"):
        return Pool(tag, settings["kernel"], stride)
    if tag == "GlobalAverage":
        return GlobalAverage()
    if tag == "Classifier":
        return nn.Linear(cin, cout, bias=settings.get("bias", True))
    kinds = {"Separable": Separable, "Mobile": Mobile, "Mixed": Mixed, "Unified": Unified, "Shuffle": Shuffle, "Skip": Skip,
             "Zero": Zero, "Aspp": Aspp, "Ghost": Ghost}
    return kinds[tag](cin, cout, stride, **settings)


class Network(nn.Module):
    """Blocks in a row, under the names `first_stages.0`, `stages.0`, `last_stages.0`."""

    def __init__(self, blocks):
        super().__init__()
        for part in ("first_stages", "stages", "last_stages"):
            setattr(self, part, nn.ModuleList())
        self.order = []
        for one in blocks:
            part = one["name"].split(".")[0]
            stages = self.stages if part == "search" else getattr(self, f"{part}_stages")
            stages.append(build(one["block"], one["in"], one["out"], one["stride"]))
            self.order.append(stages[-1])

    def forward(self, x):
        for block in self.order:
            x = block(x)
        return x


class Layer(nn.Module):
    def __init__(self, options):
        super().__init__()
        self.supernet_layer = nn.ModuleList(options)

    def forward(self, x, weights):
        return sum(weight * option(x) for weight, option in zip(weights, self.supernet_layer))


class Mixture(nn.Module):
    """A supernet with all options of a layer at once, weighed by a softmax (DARTS: Liu et al. 2019, section 2.2)."""

    def __init__(self, space, channels):
        super().__init__()
        self.first_stages, self.search_stages, self.last_stages = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for part, rows in (("first", space["first"]), ("search", space["search"]), ("last", space["last"])):
            for row in rows:
                width = {None: channels, "head": CLASSES}.get(row.get("width"), row.get("width"))
                place = (channels, width, row.get("stride", 1))
                if part == "search":
                    self.search_stages.append(Layer([build(choice, *place) for choice in space["choices"]]))
                else:
                    getattr(self, f"{part}_stages").append(build(row["block"], *place))
                channels = width
        self.logits = nn.Parameter(torch.zeros(len(space["search"]), len(space["choices"])))

    def forward(self, x):
        for block in self.first_stages:
            x = block(x)
        for layer, weights in zip(self.search_stages, self.logits.softmax(1)):
            x = layer(x, weights)
        for block in self.last_stages:
            x = block(x)
        return x


def state_fill(salt, name, value):
    if name == "logits":
        return fill(f"{salt}/{name}", value.shape, -1, 1)
    if name.endswith("running_var"):
        return fill(f"{salt}/{name}", value.shape, 0.5, 1.5)
    if value.dim() == 1 and name.endswith("bn.weight"):
        return fill(f"{salt}/{name}", value.shape, 0.5, 2.5)
    return fill(f"{salt}/{name}", value.shape)


def flat(tensors):
    return torch.cat([tensors[name].detach().reshape(-1) for name in sorted(tensors)] or [torch.zeros(0)])


def is_statistic(name):
    return name.endswith(("running_mean", "running_var"))


def run(net, x, labels, cotangent, steps):
    """Everything of a case, in the type of the network; and the smallest distance to a kink while training."""
    groups = {}
    with torch.no_grad():
        groups["eval"] = copy.deepcopy(net).eval()(x)
    Kinks.reset()
    trained = copy.deepcopy(net).train()
    optimiser = torch.optim.SGD(trained.parameters(), 0.05, 0.9, weight_decay=4e-5) if steps else None
    for step in range(max(1, steps)):
        inputs = x.clone().requires_grad_(True)
        trained.zero_grad()
        output = trained(inputs)
        loss = F.cross_entropy(output, labels) if len(labels) > 0 else (output * cotangent(output.shape).to(x.dtype)).sum()
        loss.backward()
        if step == 0:
            groups["train"], groups["input"] = output.detach(), inputs.grad.detach().clone()
            gradients = {name: p.grad.clone() for name, p in trained.named_parameters()}
            if "logits" in gradients:
                groups["weights"] = gradients.pop("logits")
            groups["gradient"] = flat(gradients)
        if optimiser is not None:
            optimiser.step()
    groups["after"] = flat({name: value for name, value in trained.state_dict().items()
                            if value.is_floating_point() and (steps or is_statistic(name))})
    return groups, Kinks.nearest


def make(case):
    steps = case.get("steps", 0)
    if "space" in case:
        channels, fresh = 3, lambda: Mixture(case["space"], 3)
    else:
        blocks = case.get("blocks") or [{**case, "name": "search.0.0"}]
        channels, fresh = blocks[0]["in"], lambda: Network(blocks)
    shape = [case["batch"], channels, *case["size"]]
    for attempt in range(400):
        salt = f"{case['name']}/{attempt}"
        net = fresh().double()
        state = net.state_dict()
        net.load_state_dict({name: state_fill(salt, name, value) if value.is_floating_point() else value
                             for name, value in state.items()})
        x = fill(f"{salt}/input", shape, -2, 2)
        labels = torch.tensor(case.get("labels", []))
        cotangent = lambda of: fill(f"{salt}/cotangent", of)
        found, nearest = run(net, x, labels, cotangent, steps)
        if nearest > MARGIN:
            break
    else:
        raise SystemExit(f"{case['name']}: every attempt comes near a kink")
    rounded, _ = run(copy.deepcopy(net).float(), x.float(), labels, cotangent, steps)
    start = flat({name: value for name, value in net.state_dict().items()
                  if value.is_floating_point() and (steps or is_statistic(name))})
    errors = {}
    for group, value in found.items():
        difference, norm = rounded[group].double() - value, value - start if group == "after" else value
        errors[group] = float(f"{(difference.norm() / norm.norm()).item() if norm.norm() > 0 else 0:.2g}")
    return {**case, "salt": salt}, found, errors


def block_case(name, block, cin, cout, stride, size=(7, 5), batch=2):
    return {"name": name, "block": block, "in": cin, "out": cout, "stride": stride, "batch": batch, "size": list(size)}


def conv(kernel, **settings):
    return {"_tag": "Conv", "kernel": kernel, **settings}


def mobile(kernel, expansion, **settings):
    return {"_tag": "Mobile", "kernel": kernel, "expansion": expansion, **settings}


def mixed(kernels, expansion, **settings):
    return {"_tag": "Mixed", "kernels": kernels, "expansion": expansion, **settings}


def unified(*slots, **settings):
    return {"_tag": "Unified", "slots": list(slots), **settings}


def unit(kernel, **settings):
    return {"_tag": "Shuffle", "kernel": kernel, **settings}


def separable(kernel, **settings):
    return {"_tag": "Separable", "kernel": kernel, **settings}


def aspp(rates, **settings):
    return {"_tag": "Aspp", "rates": rates, "kernel": 3, **settings}


def ghost(**settings):
    return {"_tag": "Ghost", **settings}


def max_pool(kernel):
    return {"_tag": "MaxPool", "kernel": kernel}


def average_pool(kernel):
    return {"_tag": "AveragePool", "kernel": kernel}


SKIP, ZERO = {"_tag": "Skip"}, {"_tag": "Zero"}

BLOCKS = [
    block_case("conv k3 relu", conv(3, activation="relu"), 5, 6, 1),
    block_case("conv k5 s2 hswish, bias", conv(5, activation="hswish", bias=True), 5, 7, 2),
    block_case("conv k3 d2 prelu", conv(3, dilation=2, activation="prelu"), 5, 3, 1),
    block_case("conv k3 d2 s2 relu6", conv(3, dilation=2), 5, 7, 2),
    block_case("conv k5 d2, bias, no norm", conv(5, dilation=2, bias=True, norm=False, activation="none"), 3, 5, 1),
    block_case("conv k4 s2", conv(4, activation="relu"), 5, 6, 2),
    block_case("conv k3 padding 2", conv(3, padding=2), 5, 3, 2),
    block_case("conv k1 s2", conv(1), 5, 9, 2),
    block_case("conv k3 g3", conv(3, groups=3, activation="relu"), 9, 3, 1),
    block_case("conv k3 g5 s2, two outputs a channel", conv(3, groups=5), 5, 10, 2),
    block_case("conv dw k3 d2 prelu", conv(3, groups="depthwise", dilation=2, activation="prelu"), 5, 5, 1),
    block_case("conv dw k5 s2 hswish", conv(5, groups="depthwise", activation="hswish"), 6, 6, 2),
    block_case("conv dw k7 relu", conv(7, groups="depthwise", activation="relu"), 5, 5, 1),
    block_case("conv dw k5 global", conv(5, groups="depthwise", padding=0, activation="none"), 7, 7, 1, (5, 5), 5),
    block_case("separable k3 relu", separable(3, activation="relu"), 5, 6, 1),
    block_case("separable k5 d2 s2", separable(5, dilation=2), 5, 7, 2),
    block_case("separable k3, no norm", separable(3, norm=False, activation="hswish"), 5, 3, 2),
    block_case("mobile k3 e1", mobile(3, 1), 5, 5, 1),
    block_case("mobile k5 e3 s2 hswish se", mobile(5, 3, activation="hswish", squeezeExcite=True), 5, 6, 2),
    block_case("mobile k3 e3 se", mobile(3, 3, squeezeExcite=True), 3, 3, 1),
    block_case("mobile k7 e2.5 prelu", mobile(7, 2.5, activation="prelu"), 5, 5, 1),
    block_case("mobile k3 e3 g2 shuffle", mobile(3, 3, pointGroups=2, channelShuffle=True), 6, 6, 1),
    block_case("mobile k5 e1 g2 shuffle s2", mobile(5, 1, pointGroups=2, channelShuffle=True), 6, 10, 2),
    block_case("mobile k3 e2 g3", mobile(3, 2, pointGroups=3), 6, 3, 1),
    block_case("mixed k3+5+7 e2 prelu se", mixed([3, 5, 7], 2, activation="prelu", squeezeExcite=True), 5, 5, 1),
    block_case("mixed k3+5 e3 s2", mixed([3, 5], 3), 5, 6, 2),
    block_case("mixed k3+7 e1 hswish", mixed([3, 7], 1, activation="hswish"), 5, 3, 1),
    block_case("mixed k3+5 e3 g3", mixed([3, 5], 3, pointGroups=3), 6, 6, 1),
    block_case("unified 3 - 5 5", unified(3, 0, 5, 5), 3, 3, 1),
    block_case("unified 7 3 s2 prelu", unified(7, 3, 0, activation="prelu"), 5, 6, 2),
    block_case("unified - 5", unified(0, 5, activation="hswish"), 5, 5, 1),
    block_case("shuffle k3", unit(3), 6, 6, 1),
    block_case("shuffle k5 s2", unit(5, activation="relu"), 5, 10, 2),
    block_case("shuffle k7, keeping the side's width", unit(7, widening="keep", activation="prelu"), 5, 12, 2),
    block_case("xception", unit(3, xception=True), 6, 6, 1),
    block_case("xception s2", unit(3, xception=True, activation="hswish"), 5, 6, 2),
    block_case("skip, wider", SKIP, 5, 7, 2),
    block_case("skip s2", SKIP, 5, 5, 2),
    block_case("skip s3", SKIP, 5, 5, 3),
    block_case("skip", SKIP, 3, 3, 1),
    block_case("zero s2", ZERO, 3, 5, 2),
    block_case("average pool k3", average_pool(3), 5, 5, 1),
    block_case("average pool k5 s2", average_pool(5), 5, 5, 2),
    block_case("max pool k3", max_pool(3), 5, 5, 1),
    block_case("max pool k5 s2", max_pool(5), 5, 5, 2),
    block_case("aspp d1+2+3", aspp([1, 2, 3]), 3, 3, 1, batch=5),
    block_case("aspp d2+4 s2 relu", aspp([2, 4], activation="relu"), 3, 5, 2, batch=5),
    block_case("ghost", ghost(activation="relu"), 5, 8, 1),
    block_case("ghost k3, cheap k5, s2 prelu", ghost(kernel=3, cheapKernel=5, activation="prelu"), 5, 6, 2),
]


def network_case(name, first, searched, last, size=(7, 5), channels=3, steps=2):
    blocks = []
    for part, rows in (("first", first), ("search", searched), ("last", last)):
        for i, (block, cout, stride) in enumerate(rows):
            name_here = f"{part}.{i}.0" if part == "search" else f"{part}.{i}"
            blocks.append({"name": name_here, "block": block, "in": channels, "out": cout, "stride": stride})
            channels = cout
    return {"name": name, "blocks": blocks, "batch": 4, "labels": [0, 2, 1, 2], "size": list(size), "steps": steps}


def head(width, channels=None, bias=True, **settings):
    return [(conv(1, **settings), width, 1), ({"_tag": "GlobalAverage"}, width, 1), ({"_tag": "Classifier", "bias": bias}, CLASSES, 1)]


NETWORKS = [
    network_case("network of inverted residuals", [(conv(3), 5, 2)],
                 [(mobile(3, 1), 5, 1), (mobile(5, 3), 6, 2), (SKIP, 6, 1), (mobile(3, 2, squeezeExcite=True), 6, 1)], head(9)),
    network_case("network of grouped inverted residuals", [(conv(3), 6, 1)],
                 [(mobile(3, 1, pointGroups=2, channelShuffle=True), 6, 1), (mobile(5, 2, pointGroups=2, channelShuffle=True), 10, 2),
                  (SKIP, 6, 1)], head(7)),
    network_case("network of shuffle units", [(conv(3, activation="relu"), 5, 1)],
                 [(unit(5, activation="relu"), 10, 2), (unit(3, activation="relu"), 10, 1),
                  (unit(3, xception=True, activation="relu"), 10, 1)], head(9, bias=False, activation="relu")),
    network_case("network for faces", [(conv(3, activation="prelu"), 5, 2), (conv(3, groups="depthwise", activation="prelu"), 5, 1)],
                 [(mobile(3, 2, activation="prelu"), 5, 1), (SKIP, 6, 2), (mobile(5, 1, activation="prelu"), 6, 1)],
                 [(conv(1, activation="prelu"), 7, 1), (conv(3, groups="depthwise", padding=0, activation="none"), 7, 1),
                  (conv(1, activation="none"), 4, 1), ({"_tag": "GlobalAverage"}, 4, 1)], (9, 9)),
    network_case("network of unified blocks", [(conv(3), 3, 1)],
                 [(unified(3, 5, 0, 7), 3, 1), (unified(5, 0), 5, 2), (unified(0, 3, 3), 5, 1)], head(6)),
    network_case("network of everything else", [(conv(3, activation="hswish"), 5, 1), (max_pool(3), 5, 2)],
                 [(mixed([3, 5], 2, activation="hswish", squeezeExcite=True), 5, 1), (separable(3, dilation=2), 6, 1),
                  (average_pool(3), 6, 1), (aspp([1, 2]), 5, 1)], head(6)),
    network_case("network of ghost modules", [(conv(3), 5, 1)],
                 [(ghost(activation="relu"), 8, 1), (ghost(kernel=3, activation="hswish"), 10, 2), (SKIP, 8, 1)], head(6)),
    # Nothing before the zeros has a gradient but zeros, and so weight decay alone moves it.
    network_case("network through zeros", [(conv(3), 5, 1)], [(mobile(3, 2), 5, 1), (ZERO, 6, 2)], head(6)),
]


MIXTURES = [
    {
        "name": "mixture of everything",
        "batch": 4,
        "labels": [1, 0, 3, 1],
        "size": [7, 5],
        "space": {
            "name": "mixture",
            "first": [{"block": conv(3, activation="hswish"), "width": 4}],
            "search": [{"width": 4}, {"width": 6, "stride": 2}],
            "choices": [mobile(3, 2), mixed([3, 5], 1, squeezeExcite=True), unit(3, activation="relu"),
                        separable(3, activation="prelu"), SKIP, ZERO],
            "last": [{"block": {"_tag": "GlobalAverage"}}, {"block": {"_tag": "Classifier"}, "width": "head"}],
        },
    }
]


def main():
    tensors, cases = {}, []
    for case in BLOCKS + NETWORKS + MIXTURES:
        described, found, errors = make(case)
        cases.append(described)
        found["output"] = torch.stack([found.pop("eval"), found.pop("train")])
        for group, value in found.items():
            if value.numel() > 0:
                tensors[f"{case['name']}/{group}"] = value.numpy().astype(np.float32)
        print(f"{described['salt']:50} {errors}")
    metadata = {"cases": json.dumps(cases, separators=(",", ":")), "made with": f"PyTorch {torch.__version__}, float64"}
    file = os.path.join(os.path.dirname(os.path.abspath(__file__)), "reference.safetensors")
    save_file(tensors, file, metadata)
    print(f"{len(cases)} cases, {os.path.getsize(file)} bytes")


if __name__ == "__main__":
    main()
