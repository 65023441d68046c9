//! A real encoder: ffmpeg publishing over RTMP, as a child of this test.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Encoder {
    child: Child,
}

/// A flash and a beep in the first tenth of every second.
pub(crate) const FLASH: &str =
    "color=c=black:s=640x360:r=30,drawbox=color=white:t=fill:enable='lt(mod(t,1),0.1)'";
pub(crate) const GREY: &str = "color=c=gray:s=320x240:r=25";
pub(crate) const WHITE: &str = "color=c=white:s=640x360:r=30";
pub(crate) const BEEP: &str = "aevalsrc=if(lt(mod(t\\,1)\\,0.1)\\,0.5*sin(2*PI*1000*t)\\,0):s=48000";

impl Encoder {
    /// Publishes over RTMP, in real time, from a picture and maybe a sound of lavfi; `options` go before the output.
    pub(crate) fn publish(
        to: SocketAddr,
        key: &str,
        picture: &str,
        sound: Option<&str>,
        options: &[&str],
    ) -> Self {
        let url = format!("rtmp://{to}/live/{key}");
        Self::start("ffmpeg", &inputs(picture, sound), options, &["-f", "flv", &url])
    }

    /// The same inside TLS; ffmpeg asks no questions about certificates.
    pub(crate) fn rtmps(to: SocketAddr, key: &str, picture: &str) -> Self {
        let url = format!("rtmps://{to}/live/{key}");
        Self::start("ffmpeg", &[picture], &[], &["-f", "flv", &url])
    }

    /// Sound alone, over RTMP.
    pub(crate) fn sound(to: SocketAddr, key: &str, sound: &str) -> Self {
        let url = format!("rtmp://{to}/live/{key}");
        Self::start("ffmpeg", &[sound], &["-vn"], &["-f", "flv", &url])
    }

    /// The same over SRT.
    pub(crate) fn srt(
        to: SocketAddr,
        id: &str,
        picture: &str,
        sound: Option<&str>,
        options: &[&str],
    ) -> Self {
        Self::srt_with(to, id, "", picture, sound, options)
    }

    /// The same with more behind the URL, such as `&passphrase=…`.
    pub(crate) fn srt_with(
        to: SocketAddr,
        id: &str,
        more: &str,
        picture: &str,
        sound: Option<&str>,
        options: &[&str],
    ) -> Self {
        let id = id.replace('#', "%23").replace('&', "%26").replace('=', "%3D");
        let url = format!("srt://{to}?streamid={id}&pkt_size=1316{more}");
        Self::start(
            "ffmpeg",
            &inputs(picture, sound),
            options,
            &["-f", "mpegts", &url],
        )
    }

    /// Over RTMP by a current FFmpeg from any inputs, with the codecs of Enhanced RTMP in `options`.
    pub(crate) fn enhanced(to: SocketAddr, key: &str, inputs: &[&str], options: &[&str]) -> Self {
        let url = format!("rtmp://{to}/live/{key}");
        let codecs = ["-rtmp_enhanced_codecs", "hvc1,av01,vp09,Opus", "-f", "flv", &url];
        Self::start(&new_ffmpeg(), inputs, options, &codecs)
    }

    /// Any ffmpeg from inputs of lavfi, in real time, to any output.
    fn start(program: &str, inputs: &[&str], options: &[&str], output: &[&str]) -> Self {
        let mut ffmpeg = Command::new(program);
        ffmpeg.args(["-hide_banner", "-loglevel", "error", "-nostdin"]);
        for input in inputs {
            ffmpeg.args(["-re", "-f", "lavfi", "-i", input]);
        }
        ffmpeg.args(["-c:a", "aac", "-b:a", "96k"]);
        ffmpeg.args(["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency"]);
        ffmpeg.args(["-g", "30", "-pix_fmt", "yuv420p"]);
        ffmpeg.args(options).args(output);
        let child = ffmpeg
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([name, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Waits for it to end by itself; gives whether it was content, and what it said.
    pub(crate) async fn ended(mut self, within: Duration) -> (bool, String) {
        let until = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < until, "ffmpeg does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let said = std::io::read_to_string(self.child.stderr.take().unwrap()).unwrap();
        (status.success(), said)
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn inputs<'a>(picture: &'a str, sound: Option<&'a str>) -> Vec<&'a str> {
    [picture].into_iter().chain(sound).collect()
}

/// The current FFmpeg that `deploy/test` installs into the target folder, or the one its variable names.
fn new_ffmpeg() -> String {
    if let Ok(named) = std::env::var("RINGSIDE_NEW_FFMPEG") {
        return named;
    }
    let tools = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("test-tools");
    let asked = Command::new(tools.join("bin/python"))
        .args([
            "-c",
            "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())",
        ])
        .output()
        .expect("deploy/test installs a current FFmpeg");
    String::from_utf8(asked.stdout).unwrap().trim().to_owned()
}
