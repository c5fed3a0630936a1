"""Builders of small files of every format, so that no test needs data from outside."""

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
)


def dataset(**elements: Any) -> Dataset:
    """An item of a sequence."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, value)
    return item


class Make:
    """Writes files below one folder and returns their paths. Names never carry a telling extension."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def path(self) -> Path:
        self.count += 1
        return self.folder / f"file{self.count}"

    def bytes(self, content: bytes) -> Path:
        path = self.path()
        path.write_bytes(content)
        return path

    def image(self, image: Image.Image | np.ndarray, format_: str, **options: Any) -> Path:
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        path = self.path()
        image.save(path, format_, **options)
        return path

    def dataset(self, stored: np.ndarray, frames: int = 1, **elements: Any) -> Dataset:
        """A native MR data set; `stored` is (height, width), with frames or channels before or after."""
        shape = stored.shape[1:] if frames > 1 else stored.shape
        bits = stored.dtype.itemsize * 8
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = MRImageStorage, "1.2.3", "MR"
        dataset.Rows, dataset.Columns = shape[:2]
        dataset.SamplesPerPixel = shape[2] if len(shape) == 3 else 1
        dataset.PhotometricInterpretation = "RGB" if len(shape) == 3 else "MONOCHROME2"
        if len(shape) == 3:
            dataset.PlanarConfiguration = 0
        dataset.BitsAllocated = dataset.BitsStored = bits
        dataset.HighBit, dataset.PixelRepresentation = bits - 1, int(stored.dtype.kind == "i")
        if frames > 1:
            dataset.NumberOfFrames = frames
        dataset.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
        for name, value in elements.items():
            setattr(dataset, name, value)
        return dataset

    def save(self, dataset: Dataset) -> Path:
        path = self.path()
        dataset.save_as(path, enforce_file_format=True)
        return path

    def dicom(self, stored: np.ndarray, frames: int = 1, **elements: Any) -> Path:
        return self.save(self.dataset(stored, frames, **elements))

    def dicom_rle(self, stored: np.ndarray, frames: int = 1, **elements: Any) -> Path:
        dataset = self.dataset(stored, frames, **elements)
        dataset.compress(RLELossless, generate_instance_uid=False)
        return self.save(dataset)

    def dicom_pillow(self, stored: np.ndarray, frame: np.ndarray | None = None, **elements: Any) -> Path:
        """JPEG for 8-bit frames with `quality`, else JPEG 2000; `frame` replaces what is compressed."""
        buffer = io.BytesIO()
        quality = elements.pop("quality", None)
        picture = Image.fromarray(stored if frame is None else frame)
        if quality:
            picture.save(buffer, "JPEG", quality=quality)
        else:
            picture.save(buffer, "JPEG2000", no_jp2=True, irreversible=False)
        dataset = self.dataset(stored, **elements)
        dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if quality else JPEG2000Lossless
        dataset.PixelData = encapsulate([buffer.getvalue()])
        dataset["PixelData"].VR, dataset["PixelData"].is_undefined_length = "OB", True
        return self.save(dataset)

    def nifti(
        self, stored: np.ndarray, affine: Any = None, version: int = 1, packed: bool = False, **fields: Any
    ) -> Path:
        """One file of header and values; `fields` are written into the header last, whatever they say."""
        header: Any = nib.Nifti1Header() if version == 1 else nib.Nifti2Header()
        header.set_data_dtype(stored.dtype)
        header.set_data_shape(stored.shape)
        header.set_sform(np.eye(4) if affine is None else np.asarray(affine, float), 1)
        if affine is not None:
            header.set_zooms(nib.affines.voxel_sizes(affine)[: stored.ndim])
        header["vox_offset"] = header.sizeof_hdr + 4
        for name, value in fields.items():
            header[name] = value
        content = header.binaryblock + bytes(4) + stored.tobytes(order="F")
        return self.bytes(gzip.compress(content, mtime=0) if packed else content)

    def figshare(self, stored: np.ndarray, user_block: int = 512, **parts: Any) -> Path:
        """As MATLAB writes it: columns first, behind a user block."""
        h5py = pytest.importorskip("h5py")
        path = self.path()
        with h5py.File(path, "w", userblock_size=user_block) as content:
            content["cjdata/image"] = stored.T
            for name, value in parts.items():
                content[f"cjdata/{name}"] = value
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file"[:user_block])
        return path

    def matlab5(self, compress: bool = False, **fields: Any) -> Path:
        """As `save -v6`, or `-v7` where compressed."""
        scipy_io = pytest.importorskip("scipy.io")
        path, content = self.path(), {"other": np.arange(3), "cjdata": fields}
        scipy_io.savemat(path, content, do_compression=compress, appendmat=False)
        return path

    def gdcm(self, stored: np.ndarray, syntax: str, **elements: Any) -> Path:
        """Compressed by GDCM, `syntax` being one of its names: JPEG Lossless and JPEG-LS have no other writer."""
        gdcm = pytest.importorskip("gdcm")
        reader = gdcm.ImageReader()
        reader.SetFileName(str(self.dicom(stored, **elements)))
        assert reader.Read()
        change = gdcm.ImageChangeTransferSyntax()
        change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, syntax)))
        change.SetInput(reader.GetImage())
        assert change.Change()
        path = self.path()
        writer = gdcm.ImageWriter()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        assert writer.Write()
        return path
