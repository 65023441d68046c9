//! RFC 5646 tags as the three letters that `mdhd` has room for.

/// ISO 639-1 codes, each followed by its ISO 639-2/T code.
const CODES: &str = "\
    aaaar ababk aeave afafr akaka amamh anarg arara asasm avava ayaym azaze babak bebel bgbul bhbih bibis \
    bmbam bnben bobod brbre bsbos cacat ceche chcha cocos crcre csces cuchu cvchv cycym dadan dedeu dvdiv \
    dzdzo eeewe elell eneng eoepo esspa etest eueus fafas ffful fifin fjfij fofao frfra fyfry gagle gdgla \
    glglg gngrn guguj gvglv hahau heheb hihin hohmo hrhrv hthat huhun hyhye hzher iaina idind ieile igibo \
    iiiii ikipk ioido isisl itita iuiku jajpn jvjav kakat kgkon kikik kjkua kkkaz klkal kmkhm knkan kokor \
    krkau kskas kukur kvkom kwcor kykir lalat lbltz lglug lilim lnlin lolao ltlit lulub lvlav mgmlg mhmah \
    mimri mkmkd mlmal mnmon mrmar msmsa mtmlt mymya nanau nbnob ndnde nenep ngndo nlnld nnnno nonor nrnbl \
    nvnav nynya ococi ojoji omorm orori ososs papan pipli plpol pspus ptpor quque rmroh rnrun roron rurus \
    rwkin sasan scsrd sdsnd sesme sgsag sisin skslk slslv smsmo snsna sosom sqsqi srsrp ssssw stsot susun \
    svswe swswa tatam tetel tgtgk ththa titir tktuk tltgl tntsn toton trtur tstso tttat twtwi tytah uguig \
    ukukr ururd uzuzb veven vivie vovol wawln wowol xhxho yiyid yoyor zazha zhzho zuzul";

/// No language is stated (ISO 639-2).
const UNDETERMINED: &str = "und";

/// ISO 639-2/T code of a tag's primary subtag, where it has one; else "und".
pub(crate) fn code(tag: &str) -> String {
    let primary = tag.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let letters = primary.bytes().all(|byte| byte.is_ascii_lowercase());
    let code = match primary.len() {
        2 if letters => CODES
            .split_ascii_whitespace()
            .find_map(|pair| pair.strip_prefix(primary.as_str())),
        // RFC 5646 §2.2.1: a three-letter subtag is an ISO 639-2/T code or one of ISO 639-3, which extends it.
        3 if letters => Some(primary.as_str()),
        _ => None,
    };
    code.unwrap_or(UNDETERMINED).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primary_subtags_become_three_letters() {
        let said = [
            ("en", "eng"),
            ("pt-BR", "por"),
            ("DE-ch", "deu"),
            ("zh-Hant-TW", "zho"),
            ("gsw", "gsw"),
            ("ast-ES", "ast"),
        ];
        for (tag, expected) in said {
            assert_eq!(code(tag), expected, "{tag}");
        }
        for tag in [
            "",
            "x-private",
            "i-klingon",
            "qq",
            "a1",
            "en1",
            "english",
            "\u{e9}n",
        ] {
            assert_eq!(code(tag), UNDETERMINED, "{tag}");
        }
    }

    #[test]
    fn every_code_is_two_letters_and_three() {
        let codes: Vec<&str> = CODES.split_ascii_whitespace().collect();
        assert!(codes.is_sorted() && codes.len() == 184);
        assert!(
            codes
                .iter()
                .all(|pair| pair.len() == 5 && pair.bytes().all(|byte| byte.is_ascii_lowercase()))
        );
    }
}
