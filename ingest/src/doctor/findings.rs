//! What the numbers mean, and what to set. Rules look at a [`Report`] alone.

use super::report::{Audio, Code, Finding, Report, Severity, Srt, Video};

/// Before this there is no saying that something does not come.
const ARRIVED_S: f64 = 3.0;
/// Before this nothing is called healthy.
const MEASURED_S: f64 = 5.0;
/// SRT repeats a packet about three times within this many round trips.
const ROUND_TRIPS: f64 = 4.0;

/// All findings, the worst first; one that all is well where there is none.
pub(super) fn of(report: &Report) -> Vec<Finding> {
    let mut findings = Vec::new();
    presence(report, &mut findings);
    if let Some(video) = &report.video {
        keyframes(video, &mut findings);
        picture(report, video, &mut findings);
        timing(video, &mut findings);
    }
    report.audio.iter().for_each(|audio| sound(audio, &mut findings));
    declared_sound(report, &mut findings);
    stamps(report, &mut findings);
    drift(report, &mut findings);
    if let Some(srt) = &report.srt {
        line(srt, &mut findings);
    }
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    if findings.is_empty() {
        findings.push(match report.seconds < MEASURED_S {
            true => finding(
                Severity::Ok,
                Code::Measuring,
                "Measuring: findings follow within seconds",
            ),
            false => finding(Severity::Ok, Code::Healthy, "Nothing to mend"),
        });
    }
    findings
}

fn finding(severity: Severity, code: Code, text: impl Into<String>) -> Finding {
    Finding {
        severity,
        code,
        text: text.into(),
    }
}

fn presence(report: &Report, findings: &mut Vec<Finding>) {
    if report.silent_s >= 1.0 {
        let text = format!(
            "Nothing has come for {:.1} s: check the encoder and its network",
            report.silent_s
        );
        return findings.push(finding(Severity::Fault, Code::Silence, text));
    }
    if report.seconds < ARRIVED_S {
        return;
    }
    let pictures = report.video.as_ref().is_some_and(|video| video.silent_s < 2.0);
    let heard = |audio: &Audio| audio.silent_s.is_some_and(|silent| silent < 2.0);
    if !pictures {
        let text = "No picture comes: check that the encoder sends video (H.264, HEVC, AV1 or VP9)";
        findings.push(finding(Severity::Fault, Code::NoPicture, text));
    }
    if !report.audio.iter().any(heard) {
        let text = "No sound comes: check the Audio Mixer and Settings > Output > Streaming > Audio Track";
        findings.push(finding(Severity::Fault, Code::NoSound, text));
    }
}

fn keyframes(video: &Video, findings: &mut Vec<Finding>) {
    let last = video.keyframe_interval_s.unwrap_or(0.0);
    let since = video.keyframe_since_s.unwrap_or(0.0);
    let (interval, is) = if since > last {
        (since, "is over")
    } else {
        (last, "is")
    };
    let severity = match interval {
        long if long > 4.2 => Severity::Warn,
        long if long > 2.5 => Severity::Hint,
        _ => return irregular(video, findings),
    };
    let text = format!(
        "Keyframe Interval {is} {interval:.1} s: set Settings > Output > Streaming > Keyframe Interval to 2 s"
    );
    findings.push(finding(severity, Code::KeyframeInterval, text));
}

fn irregular(video: &Video, findings: &mut Vec<Finding>) {
    let (Some(min), Some(max)) = (video.keyframe_interval_min_s, video.keyframe_interval_max_s) else {
        return;
    };
    if video.keyframe_intervals < 4 || max - min <= 0.3 * max {
        return;
    }
    let text = format!(
        "Keyframe Interval varies from {min:.1} to {max:.1} s: set it to 2 s instead of 0 (auto), and x264 \
         option scenecut=0"
    );
    findings.push(finding(Severity::Hint, Code::KeyframeIrregular, text));
}

fn picture(report: &Report, video: &Video, findings: &mut Vec<Finding>) {
    if video.b_frames_max > 0 {
        let text = format!(
            "B-frames are on: Tune zerolatency or Max B-frames 0 saves {:.0} ms",
            video.b_frames_delay_ms.unwrap_or(0.0)
        );
        findings.push(finding(Severity::Hint, Code::BFrames, text));
    }
    if video.interlaced {
        let text =
            "The picture is interlaced: set the source's Deinterlacing, so that it is done once and well";
        findings.push(finding(Severity::Hint, Code::Interlaced, text));
    }
    if report.seconds < MEASURED_S {
        return;
    }
    let declared = report.declared.as_ref();
    let rates = declared
        .and_then(|declared| declared.frames_per_s)
        .zip(video.frames_per_s);
    if let Some((declared, measured)) = rates.filter(|(declared, measured)| *measured < declared * 0.92) {
        let text = format!(
            "{measured:.1} frames a second come of the declared {declared:.0}: CPU, GPU or network at the encoder \
             is short (View > Stats)"
        );
        findings.push(finding(Severity::Warn, Code::FrameRate, text));
    }
    let rates = declared.and_then(|declared| declared.video_kbps).zip(video.kbps);
    if let Some((declared, measured)) = rates {
        bitrate(declared, measured, findings);
    }
}

fn bitrate(declared: f64, measured: f64, findings: &mut Vec<Finding>) {
    if measured < declared * 0.5 {
        let text = format!(
            "Bitrate {measured:.0} kb/s is far under the declared {declared:.0} kb/s: network or CPU at the \
             encoder is short, or Rate Control is not CBR"
        );
        findings.push(finding(Severity::Warn, Code::VideoBitrate, text));
    } else if measured > declared * 1.5 {
        let text = format!(
            "Bitrate {measured:.0} kb/s is far over the declared {declared:.0} kb/s: set Rate Control to CBR"
        );
        findings.push(finding(Severity::Hint, Code::VideoBitrate, text));
    }
}

fn timing(video: &Video, findings: &mut Vec<Finding>) {
    if let Some(spread) = video.arrival_spread_ms.filter(|spread| *spread > 700) {
        let text = format!(
            "Pictures come in bursts, up to {spread} ms late: the encoder's network is short; use a cable or \
             lower Settings > Output > Video Bitrate"
        );
        findings.push(finding(Severity::Warn, Code::Bursts, text));
    }
    if let Some(ahead) = video.sound_ahead_ms.filter(|ahead| ahead.abs() > 700) {
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let text = format!(
            "Sound is sent {} ms {side} the picture: set Sync Offset to 0 in Advanced Audio Properties, and see \
             whether the encoder is overloaded",
            ahead.abs()
        );
        findings.push(finding(Severity::Warn, Code::Interleave, text));
    }
}

fn sound(audio: &Audio, findings: &mut Vec<Finding>) {
    let number = audio.track + 1;
    if let Some(rate) = audio.sample_rate_hz.filter(|rate| *rate != 48_000) {
        let text = format!(
            "Audio is {} kHz: set Settings > Audio > Sample Rate to 48 kHz",
            f64::from(rate) / 1_000.0
        );
        findings.push(finding(Severity::Hint, Code::SampleRate, text));
    }
    if let Some(kbps) = audio.kbps.filter(|kbps| audio.codec == "AAC" && *kbps < 10.0) {
        let text = format!(
            "Audio track {number} carries {kbps:.0} kb/s, as silence does: check that nothing is muted in the \
             Audio Mixer"
        );
        findings.push(finding(Severity::Warn, Code::QuietSound, text));
    }
}

fn declared_sound(report: &Report, findings: &mut Vec<Finding>) {
    let declared = report.declared.as_ref().and_then(|declared| declared.audio_kbps);
    if let Some(kbps) = declared.filter(|kbps| *kbps < 96.0) {
        let text =
            format!("Audio Bitrate is {kbps:.0} kb/s: set Settings > Output > Audio Bitrate to 160 or more");
        findings.push(finding(Severity::Hint, Code::AudioBitrate, text));
    }
}

fn stamps(report: &Report, findings: &mut Vec<Finding>) {
    let stamps = report.stamps;
    if stamps.last_minute == 0 {
        return;
    }
    let text = format!(
        "Time stamps were wrong {} times in the last minute ({} jumps, {} steps back, {} holes since it connected): \
         restart the encoder's stream, and check its sources",
        stamps.last_minute, stamps.jumps, stamps.backwards, stamps.holes
    );
    findings.push(finding(Severity::Warn, Code::Stamps, text));
}

fn drift(report: &Report, findings: &mut Vec<Finding>) {
    let sure = |ppm: f64, error: f64| ppm.abs() > 200.0 && ppm.abs() > 3.0 * error;
    let Some(drift) = report.drift.filter(|drift| sure(drift.ppm, drift.error_ppm)) else {
        return;
    };
    let side = if drift.ppm > 0.0 { "fast" } else { "slow" };
    let text = format!(
        "The encoder's clock is {:.0} ppm {side}, {:.0} ms a minute; that is made up for, at a frame now and then: \
         take picture and sound from one device",
        drift.ppm.abs(),
        drift.ppm.abs() * 0.06
    );
    findings.push(finding(Severity::Hint, Code::Drift, text));
}

fn line(srt: &Srt, findings: &mut Vec<Finding>) {
    let trips = srt.latency_ms as f64 / srt.rtt_ms.max(0.1);
    let is_short = trips < ROUND_TRIPS;
    // OBS hands its URL to libavformat, whose `latency` counts microseconds.
    let wanted = (srt.rtt_ms * ROUND_TRIPS / 10.0).ceil() * 10.0;
    let raise = format!(
        "latency {} ms is {trips:.1} x the round trip: raise it to {wanted:.0} ms, 4 x (latency={:.0} in the URL of \
         OBS)",
        srt.latency_ms,
        wanted * 1_000.0
    );
    let slow = "lower Settings > Output > Video Bitrate, or use a better line".to_owned();
    let mend = if is_short { &raise } else { &slow };
    if srt.recent_dropped > 0 {
        let text = format!("{} packets came too late to be shown; {mend}", srt.recent_dropped);
        findings.push(finding(Severity::Fault, Code::PacketLoss, text));
    } else if srt.recent_loss_percent >= if is_short { 0.5 } else { 5.0 } {
        let text = format!(
            "{:.1} % of packets were lost and sent again; {mend}",
            srt.recent_loss_percent
        );
        findings.push(finding(Severity::Warn, Code::PacketLoss, text));
    } else if is_short {
        let text = format!("No packet is lost yet, but {raise}");
        findings.push(finding(Severity::Hint, Code::Latency, text));
    }
}
