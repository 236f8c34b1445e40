"""Our networks with the weights that the published ones had, through the published names."""

from tests.parity.golden.recipe import check_weights, make_weights
from tests.published import caffe_deeplab, irn_heads, seam_wide_resnet38
from wood.models.backbones import create_backbone
from wood.models.cam import CamClassifier
from wood.models.convert import DEEPLAB, convert_deeplab, convert_irnet
from wood.models.deeplab import DeepLabV2
from wood.models.irnet import IRNet
from wood.models.published import convert_cam, convert_seam
from wood.models.seam import SeamClassifier
from wood.models.weights import load_into

DAMPED_SEAM = r"^b\d.*conv_branch2b1\.weight|^b[67]\.conv_branch2b2\.weight"
SEAM_HEADS = {"fc8": (21, 4096), "f8_3": (64, 512), "f8_4": (128, 1024), "f9": (192, 195)}


def shapes_of(module):
    return {name: tensor.shape for name, tensor in module.state_dict().items()}


def below(prefix, shapes):
    return {f"{prefix}{name}": shape for name, shape in shapes.items()}


def cam_network(*, detach_stages=True, head_scale=1.0, checksum):
    """IRN's CAM network, with 20 classes."""
    backbone = create_backbone("resnet50", weights=None, detach_stages=detach_stages)
    shapes = below("resnet50.", shapes_of(backbone)) | {"classifier.weight": (20, 2048, 1, 1)}
    state = make_weights(shapes, 9, r"bn3\.weight", 0.3)
    state["classifier.weight"] *= head_scale
    check_weights(state, checksum)
    model = CamClassifier(backbone, 20)
    load_into(model, convert_cam(state, "golden"), "golden")
    return model


def irnet(checksum):
    """IRN's IRNet; its mean displacement is zero."""
    model = IRNet(create_backbone("resnet50", weights=None))
    shapes = below("resnet50.", shapes_of(model.backbone))
    shapes |= {name: tensor.shape for name, tensor in irn_heads(model.state_dict()).items()}
    state = make_weights(shapes, 5, r"bn3\.weight", 0.3)
    check_weights(state, checksum)
    converted = convert_irnet(state, "golden")
    load_into(model, {**converted, "mean_displacement": model.mean_displacement}, "golden")
    return model


def seam_network(checksum):
    """SEAM's network."""
    backbone = create_backbone("wide_resnet38", weights=None, output_stride=8)
    shapes = {n: t.shape for n, t in seam_wide_resnet38(backbone.state_dict()).items()}
    shapes |= {f"{name}.weight": (*shape, 1, 1) for name, shape in SEAM_HEADS.items()}
    state = make_weights(shapes, 17, DAMPED_SEAM, 0.4)
    check_weights(state, checksum)
    model = SeamClassifier(backbone, 20)
    load_into(model, convert_seam(state, "golden"), "golden")
    return model


def deeplab(checksum):
    """The published DeepLab-v2 with ResNet-101 and 21 labels; it takes RGB."""
    backbone = create_backbone(DEEPLAB["backbone"], weights=None, output_stride=8)
    model = DeepLabV2(backbone, 21, DEEPLAB["atrous_rates"], DEEPLAB["alignment"])
    shapes = {name: tensor.shape for name, tensor in caffe_deeplab(model.state_dict()).items()}
    state = make_weights(shapes, 13, r"increase\.bn\.weight", 0.2)
    check_weights(state, checksum)
    load_into(model, convert_deeplab(state, "golden"), "golden")
    return model
