// Korean words that are tried as passwords, and the keys that Hangul is typed with: 안녕하세요 is `dkssudgktpdy` to whoever left the
// keyboard in Latin, and qwer is ㅂㅈㄷㄱ to whoever left it in Hangul. No list of other countries has them.

const WORDS =
  '안녕 안녕하세요 사랑 사랑해 사랑해요 사랑합니다 비밀번호 패스워드 암호 대한민국 한국 서울 부산 우리나라 행복 행복하자 감사합니다 고맙습니다 미안해 보고싶어 엄마 아빠 가족 친구 바보 멍청이 천사 공주 왕자 하늘 바다 여름 겨울 강아지 고양이 호랑이 독도 화이팅 파이팅 아자아자 관리자 사용자 테스트 학교 선생님 컴퓨터 인터넷 네이버 카카오 열려라참깨 아무거나 몰라 짜증나 배고파 부자되자 로또당첨 비번 아이디 가나다 가나다라 saranghae korea samsung naver kakao'.split(
    ' ',
  )

/** The keys of the standard layout (KS X 5002, two sets), in the order in which Unicode composes a syllable. */
const INITIALS = 'r R s e E f a q Q t T d w W c z x v g'.split(' ')
const VOWELS = 'k o i O j p u P h hk ho hl y n nj np nl b m ml l'.split(' ')
const FINALS = [
  '',
  ...'r R rt s sw sg e f fr fa fq ft fx fv fg a q qt t T d w c z x v g'.split(' '),
]
const FIRST_SYLLABLE = 0xac00
/** The letters that stand alone, in the order of Unicode: all consonants, then the vowels. */
const LETTERS = [
  ...'r R rt s sw sg e E f fr fa fq ft fx fv fg a q Q qt t T d w W c z x v g'.split(' '),
  ...VOWELS,
]
const FIRST_LETTER = 0x3131

/** The words in both spellings, folded. */
export const KOREAN_WORDS: ReadonlySet<string> = new Set(
  WORDS.flatMap((word) => [word, keysOf(word).toLowerCase()]),
)

/** The order of the Korean alphabet, as it is recited and as it is written, in keys. */
export const KOREAN_RUNS: readonly string[] = [
  keysOf('가나다라마바사아자차카타파하'),
  keysOf('ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ'),
]

/** What a Latin keyboard writes when this is typed in Hangul. The text is in NFC. */
export function keysOf(text: string): string {
  return [...text].map((character) => keysOfLetter(character) ?? keysOfSyllable(character)).join('')
}

function keysOfLetter(character: string): string | undefined {
  return LETTERS[character.charCodeAt(0) - FIRST_LETTER]
}

function keysOfSyllable(character: string): string {
  const index = character.charCodeAt(0) - FIRST_SYLLABLE
  const initial = INITIALS[Math.floor(index / (VOWELS.length * FINALS.length))]
  if (initial === undefined) return character
  const vowel = VOWELS[Math.floor(index / FINALS.length) % VOWELS.length] ?? ''
  return initial + vowel + (FINALS[index % FINALS.length] ?? '')
}
