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
    /// Publishes in real time from a picture and maybe a sound of lavfi; `options` go before the output.
    pub(crate) fn publish(
        to: SocketAddr,
        key: &str,
        picture: &str,
        sound: Option<&str>,
        options: &[&str],
    ) -> Self {
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args([
            "-hide_banner",
            "-loglevel",
            "error",
            "-nostdin",
            "-re",
            "-f",
            "lavfi",
            "-i",
            picture,
        ]);
        if let Some(sound) = sound {
            ffmpeg.args(["-re", "-f", "lavfi", "-i", sound, "-c:a", "aac", "-b:a", "96k"]);
        }
        ffmpeg.args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-tune",
            "zerolatency",
            "-g",
            "30",
        ]);
        ffmpeg.args(["-pix_fmt", "yuv420p"]).args(options);
        ffmpeg.args(["-f", "flv", &format!("rtmp://{to}/live/{key}")]);
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
