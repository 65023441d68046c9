//! The encoders there are, and how each is told to make a rung: no B-frames, no look-ahead, key frames from the grid
//! alone.

use crate::config::{Codec, Encoder, Rung};
use crate::ladder::{Plan, VBV_MS};

/// x264's own word for "never by itself" (X264_KEYINT_MAX_INFINITE): key frames come from the grid alone.
const KEY_INTERVAL: u32 = 1 << 30;

/// A way to encode; of each codec, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// NVIDIA.
    Nvenc,
    /// VA-API, low-power unit.
    VaLow,
    /// VA-API.
    Va,
    /// Intel Quick Sync.
    Qsv,
    /// Video4Linux memory to memory.
    V4l2,
    /// Software.
    X264,
    /// Software, where x264 is missing.
    Openh264,
    NvencHevc,
    VaLowHevc,
    VaHevc,
    QsvHevc,
    V4l2Hevc,
    /// Software.
    X265,
    NvencAv1,
    VaLowAv1,
    VaAv1,
    QsvAv1,
    /// Software.
    Aom,
}

impl Kind {
    pub(crate) const ALL: [Self; 18] = [
        Self::Nvenc,
        Self::VaLow,
        Self::Va,
        Self::Qsv,
        Self::V4l2,
        Self::X264,
        Self::Openh264,
        Self::NvencHevc,
        Self::VaLowHevc,
        Self::VaHevc,
        Self::QsvHevc,
        Self::V4l2Hevc,
        Self::X265,
        Self::NvencAv1,
        Self::VaLowAv1,
        Self::VaAv1,
        Self::QsvAv1,
        Self::Aom,
    ];

    /// Name of its element, what it makes, and who asks for it by name.
    fn row(self) -> (&'static str, Codec, Encoder) {
        match self {
            Self::Nvenc => ("nvh264enc", Codec::H264, Encoder::Nvenc),
            Self::VaLow => ("vah264lpenc", Codec::H264, Encoder::Va),
            Self::Va => ("vah264enc", Codec::H264, Encoder::Va),
            Self::Qsv => ("qsvh264enc", Codec::H264, Encoder::Qsv),
            Self::V4l2 => ("v4l2h264enc", Codec::H264, Encoder::V4l2),
            Self::X264 => ("x264enc", Codec::H264, Encoder::X264),
            Self::Openh264 => ("openh264enc", Codec::H264, Encoder::Openh264),
            Self::NvencHevc => ("nvh265enc", Codec::Hevc, Encoder::Nvenc),
            Self::VaLowHevc => ("vah265lpenc", Codec::Hevc, Encoder::Va),
            Self::VaHevc => ("vah265enc", Codec::Hevc, Encoder::Va),
            Self::QsvHevc => ("qsvh265enc", Codec::Hevc, Encoder::Qsv),
            Self::V4l2Hevc => ("v4l2h265enc", Codec::Hevc, Encoder::V4l2),
            Self::X265 => ("x265enc", Codec::Hevc, Encoder::X265),
            Self::NvencAv1 => ("nvav1enc", Codec::Av1, Encoder::Nvenc),
            Self::VaLowAv1 => ("vaav1lpenc", Codec::Av1, Encoder::Va),
            Self::VaAv1 => ("vaav1enc", Codec::Av1, Encoder::Va),
            Self::QsvAv1 => ("qsvav1enc", Codec::Av1, Encoder::Qsv),
            Self::Aom => ("av1enc", Codec::Av1, Encoder::Aom),
        }
    }

    /// Name of its element.
    pub(crate) fn factory(self) -> &'static str {
        self.row().0
    }

    /// Debian package that brings the element.
    pub(super) fn package(self) -> &'static str {
        let (_, _, name) = self.row();
        if name == Encoder::V4l2 {
            "gstreamer1.0-plugins-good"
        } else if name == Encoder::X264 {
            "gstreamer1.0-plugins-ugly"
        } else {
            "gstreamer1.0-plugins-bad"
        }
    }

    pub(super) fn is_wanted(self, wanted: Encoder, codec: Codec) -> bool {
        let (_, makes, name) = self.row();
        let software = matches!(self, Self::X264 | Self::Openh264 | Self::X265 | Self::Aom);
        makes == codec
            && (wanted == Encoder::Auto || wanted == name || wanted == Encoder::Software && software)
    }

    /// Whether it makes key frames where it begins alone: see [`super::begin_at_keys`].
    pub(crate) fn begins_anew(self) -> bool {
        self == Self::Aom
    }

    /// The encoder called `name`, raw pictures to access units.
    pub(crate) fn line(self, name: &str, rung: &Rung, plan: &Plan) -> String {
        let (factory, codec, _) = self.row();
        let (before, settings, after) = self.settings(rung, plan);
        format!(
            "{before}{factory} name={name} {settings}{after} ! {}",
            parsed(codec)
        )
    }

    /// What stands before it, its properties, and what stands behind it.
    fn settings(self, rung: &Rung, plan: &Plan) -> (&'static str, String, &'static str) {
        let kbps = rung.bitrate_kbps;
        match self {
            Self::Nvenc | Self::NvencHevc => (
                NV12,
                format!("bitrate={kbps} gop-size=-1 bframes=0 zerolatency=true rc-mode=cbr"),
                "",
            ),
            Self::NvencAv1 => (
                NV12,
                format!("bitrate={kbps} gop-size=-1 zerolatency=true rc-mode=cbr"),
                "",
            ),
            Self::VaLow | Self::Va | Self::VaLowHevc | Self::VaHevc => (
                NV12,
                format!("bitrate={kbps} key-int-max=1024 b-frames=0 rate-control=cbr"),
                "",
            ),
            Self::VaLowAv1 | Self::VaAv1 => (
                NV12,
                format!("bitrate={kbps} key-int-max=1024 rate-control=cbr"),
                "",
            ),
            Self::Qsv | Self::QsvHevc => (
                NV12,
                format!("bitrate={kbps} gop-size=0 b-frames=0 low-latency=true rate-control=cbr"),
                "",
            ),
            Self::QsvAv1 => (
                NV12,
                format!("bitrate={kbps} gop-size=0 low-latency=true rate-control=cbr"),
                "",
            ),
            Self::V4l2 => (NV12, v4l2(kbps), " ! video/x-h264,level=(string)4"),
            Self::V4l2Hevc => (NV12, v4l2(kbps), ""),
            Self::X264 => x264(rung, plan),
            Self::X265 => ("", x265(rung, plan), ""),
            Self::Openh264 => ("", openh264(kbps), ""),
            Self::Aom => ("", aom(rung, plan), ""),
        }
    }
}

/// What every encoder's output is brought to.
fn parsed(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264parse ! video/x-h264,stream-format=avc,alignment=au",
        Codec::Hevc => "h265parse ! video/x-h265,stream-format=hvc1,alignment=au",
        Codec::Av1 => "av1parse ! video/x-av1,stream-format=obu-stream,alignment=tu",
    }
}

const NV12: &str = "videoconvertscale ! video/x-raw,format=NV12 ! ";

/// One thread gives the least delay; from so many lines on, one core may not be enough.
const LARGE: u32 = 720;

fn v4l2(kbps: u32) -> String {
    let bps = u64::from(kbps) * 1_000;
    format!("extra-controls=\"controls,video_bitrate={bps},video_gop_size={KEY_INTERVAL}\"")
}

fn openh264(kbps: u32) -> String {
    let bps = u64::from(kbps) * 1_000;
    format!(
        "bitrate={bps} max-bitrate={} rate-control=bitrate complexity=low gop-size={KEY_INTERVAL} \
         scene-change-detection=false multi-thread=1",
        bps * 3 / 2
    )
}

fn x264(rung: &Rung, plan: &Plan) -> (&'static str, String, &'static str) {
    let large = rung.height >= LARGE;
    let threads = if large { 2 } else { 1 };
    let settings = format!(
        "tune=zerolatency speed-preset={} bitrate={} threads={threads} sliced-threads=false \
         key-int-max={KEY_INTERVAL} byte-stream=false vbv-buf-capacity={VBV_MS} \
         option-string=\"scenecut=0:open-gop=0:force-cfr=0\"",
        rung.preset.unwrap_or(plan.default_preset).as_str(),
        rung.bitrate_kbps,
    );
    let profile = if large {
        " ! video/x-h264,profile=high"
    } else {
        " ! video/x-h264,profile=main"
    };
    ("", settings, profile)
}

fn x265(rung: &Rung, plan: &Plan) -> String {
    let kbps = rung.bitrate_kbps;
    // Threads share the lines of one picture: pictures at the same time would add their delay.
    let threads = if rung.height >= LARGE {
        "pools=4"
    } else {
        "pools=none"
    };
    format!(
        "tune=zerolatency speed-preset={} bitrate={kbps} key-int-max={KEY_INTERVAL} \
         option-string=\"open-gop=0:scenecut=0:bframes=0:rc-lookahead=0:frame-threads=1:{threads}\
         :vbv-maxrate={kbps}:vbv-bufsize={}\"",
        rung.preset.unwrap_or(plan.default_preset).as_str(),
        u64::from(kbps) * VBV_MS / 1_000,
    )
}

/// Its element allows no quantizer at all unless told, and would then ignore the bit rate.
fn aom(rung: &Rung, plan: &Plan) -> String {
    let large = rung.height >= LARGE;
    let (threads, columns) = if large { (4, 2) } else { (1, 0) };
    format!(
        "usage-profile=realtime cpu-used={} lag-in-frames=0 end-usage=cbr target-bitrate={} \
         min-quantizer=2 max-quantizer=63 undershoot-pct=50 overshoot-pct=50 buf-sz={VBV_MS} buf-initial-sz={half} \
         buf-optimal-sz={half} keyframe-mode=auto keyframe-max-dist={KEY_INTERVAL} threads={threads} \
         tile-columns={columns} row-mt={large}",
        rung.preset.unwrap_or(plan.default_preset).cpu_used(),
        rung.bitrate_kbps,
        half = VBV_MS / 2,
    )
}
