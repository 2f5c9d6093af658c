"""English plots in which something told early must be remembered later: a place, a name, a number, a promise."""

RULES = """
story hidden 5 A=child R=parent T=keepsake C=box
- <when_morning>, {A} put {A.his} [little|old|favourite] {T} into the <where={C}> and [closed the lid|told no one|went
  outside]. <gap>[In the evening|Much later|Before bedtime], {A.his} {R.father} asked, "Where is your {T}?" "{T.It} is
  in the <where?{C}>," <said> {A}. <found_there>
- {A} had {T.a} that had once belonged to a [sailor|famous singer|soldier]. To keep {T.it} safe, {A.he} laid {T.it} in
  the <where={C}>. <gap>Then {A} wanted to see the {T} again. {A.He} [ran|went] straight to the <where?{C}>, and there
  {T.it} was. <happy>
- "Put the {T} away, {A}," said {A.his} {R.father}. So {A} put {T.it} into the <where={C}>. <gap>[A neighbour|A
  friend] came and asked for the {T}. {A} thought for a moment. "I know! I put {T.it} into the <where?{C}>."
  <found_there>
- <intro> <when_morning>, {A} found {T.a} in the grass. {A.He} cleaned {T.it} and hid {T.it} in the <where={C}>.
  <gap>At last {A.he} went back to the <where?{C}> and took out the {T}. <happy>

found_there
- And so {T.it} was.
- They looked, and {T.it} was still there.
- {A} opened it and held up the {T}. "You see?"
- {R.Name} looked and nodded. "You have a good memory."
- {A} was right, of course.

story two_hidden 4 A=child R=parent T=keepsake U=keepsake C=box D=box
- <when_morning>, {A} tidied up {A.his} room. {A.He} put the {T} into the <where1={C}> and the {U} into the
  <where2={D}>. <gap>"Where is the {T}?" asked {A.his} {R.father}. "In the <where1?{C}>," said {A}. "And the {U}?" "In
  the <where2?{D}>." [Both were right where {A} had said.|{R.Name} looked, and {A} was right about both.]
- {A} had two treasures, {T.a} and {U.a}. The {T} lay in the <where1={C}>, and the {U} lay in the <where2={D}>.
  <gap>[That evening|Later] {A} opened the <where2?{D}> and took out the {U}. Then {A.he} opened the <where1?{C}> and
  took out the {T}. <end>

story moved 4 A=child B=friend T=keepsake C=box D=box
- [<intro> ]{A} put the {T} into the <where={C}> and went out. While {A.he} was away, {B} took the {T} out of the
  <where?{C}> and put {T.it} into the <where={D}>. <gap>When {A} came back, {A.he} looked in the wrong place. "Where
  is my {T}?" {A.he} asked. "I put {T.it} into the <where?{D}>," said {B}. <moved_end>
- [<intro> ]The {T} was in the <where={C}>. "That is not a safe place," said {B}, and moved {T.it} to the <where={D}>.
  {A} helped {B.him}. <gap>[In the evening|Later that day|Before supper] {A} needed the {T}. {A.He} did not have to
  look for long, because {A.he} remembered that {T.it} was now in the <where?{D}>. <end>
- [<intro> ]First {A} kept the {T} in the <where={C}>. But one day there was water on the floor, so {A.he} moved
  {T.it} to the <where={D}>, where {T.it} stayed dry. <gap>"May I see your {T}?" asked {B}. {A} went to the
  <where?{D}> and brought {T.it}. "How beautiful!" said {B}.

moved_end
- {A} laughed, for {A.he} had looked everywhere else.
- "Please ask me next time," said {A}. {B} said sorry, and they shook hands.
- {B} was right. {A} took the {T} and thanked {B.him}.

story buried 4 A=child B=friend T=keepsake P=spot
- <intro> <when_morning>, {A} hid {T.a} <where={P}>. Only {B} knew about it. <gap>After [a week|many days|some time]
  {A} met {B} again. "Is the {T} still there?" asked {B}. They looked <where?{P}>. There {T.it} was, [covered with
  dust|a little dusty|safe and dry], just as {A} had left {T.it}.
- "Remember this place," {A} <said> and hid the {T} <where={P}>. {B} nodded. <gap>{B} had not forgotten. "The {T} is
  <where?{P}>," {B.he} said, and {A} was glad to have such a friend.
- Someone had lost {T.a}. {A} had seen {T.it} <where={P}>, but {A.he} had thought nothing of it. <gap>Then {B} came,
  quite out of breath. "Have you seen my {T}?" "Yes," <said> {A}. "{T.It} is <where?{P}>." And so it was. {B} gave
  {A.him} a [hug|bun|big smile].

story pet_name 4 A=child B=friend N=pet
- [<intro> ]{A} had {N.a_kind} called <name={N}>. {N.It} [followed {A.him} everywhere|slept at the foot of the bed|was
  very fond of carrots|was afraid of thunder]. <gap>When {A} came home, the gate was open and the {N.kind} was gone.
  {A} ran through the streets and called, "<name?{N}>! <name?{N}>!" {B} heard {A.him} and helped {A.him} to look.
  <pet_found>
- [<intro> ]{A} got {N.a_kind} for {A.his} birthday. "What will you call it?" asked {B}. "<name={N}>," <said> {A}.
  <gap>[The next day|A week later|That evening] {B} came to visit. "How is your {N.kind}?" {B.he} asked. "What was the
  name again?" "<name?{N}>," said {A}. [At once {N.it} lifted its head.|And {N.it} came when it heard its name.]

pet_found
- At last they found {N.it} [behind the barn|under a cart|in the neighbour's garden], asleep in the sun. {A} was so
  glad that {A.he} forgot to be angry.
- In the end it was {B} who found {N.it} [at the bakery|by the pond|under the old bridge], eating a stolen bun.
  Everybody laughed.
- There came an answer from the well. {N.It} had fallen in, but the well was dry, and {N.it} was not hurt. {A} and {B}
  pulled {N.it} out with a rope.

story guard 4 A=adult B=adult2 K=ruler P=town
- <when_morning>, a <trait> {A.man} stood at the gate of the castle. "What is your name?" asked the guard. "My name is
  <name={A}>, and I come from <town={P}>." The guard wrote it down. <gap>At last the {K.king} came into the hall. "Who
  is this {A.man}?" The guard looked at the paper. "This is <name?{A}> from <town?{P}>." {K.Name} nodded. "Welcome,
  <name?{A}>. <court_word>"
- A stranger came to {P} and said, "I am <name={A}>." The people gave {A.him} bread and a bed. <gap>Years later {B},
  who had been a child then, met the stranger again. "I know you," {B.he} said. "Your name is <name?{A}>." {A} was
  moved to tears.

court_word
- The soup is still warm.
- Sit down and eat with us.
- We have heard much good about you.

story number 4 A=child B=friend T=toy N=number
- [<intro> ]{A} went to the market with <number={N}> coins in {A.his} pocket. <gap>At the toy shop {A} saw {T.a} in
  the window. "How much money do you have?" asked {B}. "<number?{N.cap}> coins," said {A}. That was [just enough|not
  quite enough|more than enough].
- [<intro> ]The lock had a secret number, and only {A} knew it. It was <number={N}>. <gap>{B} stood before the locked
  door. "What is the number?" {B.he} called. "It is <number?{N}>!" shouted {A}. The lock clicked, and the door opened.
- [<intro> ]"Come to house number <number={N}>," {B} had said, "and bring your {T}." <gap>{A} walked along the street
  and read the numbers on the doors. {A.He} stopped in front of number <number?{N}> and knocked. {B} opened, and they
  played with the {T} until it was dark.
- [<intro> ]The train to the sea left from platform <number={N}>. {A} bought a ticket. <gap>Then it was time. {A}
  looked for platform <number?{N}>, and the train was already there. {B} leaned out of the window and called {A.his}
  name.

story colour 4 A=child B=friend C=colour T=toy
- [<intro> ]{A} had a <colour={C}> {T} and took it everywhere. <gap>Suddenly the {T} was gone. "What colour is your
  {T}?" asked {B}. "<colour?{C.cap}>," said {A}. {B} pointed to a tree. Up there hung something <colour?{C}>. It was
  the {T}!
- [<intro> ]"I will paint my {T} <colour={C}>," said {A}, and {B} helped {A.him} to mix the paint. <gap>By then the
  paint was dry. The {T} shone in the sun, <colour?{C}> all over, and {A} showed it to everyone.
- [<intro> ]{A} wanted a <colour={C}> {T} for {A.his} birthday more than anything else. {B} heard it and remembered
  it. <gap>On the birthday {B} brought a big parcel. {A} tore off the paper. It was a {T}, and it was <colour?{C}>!

story promise 4 A=child B=friend R=uncle T=toy
- [<intro> ]{A} promised {B} to bring <what={T.the}> on <weekday>. <gap>When the day came, {A} stood at {B}'s door.
  "Did you remember?" asked {B}. {A} smiled and held up <what?{T.the}>. A promise is a promise.
- [<intro> ]"What would you like from the city?" asked {R}. "{T.A}, please," said {A}. So {R} <promised_it>.
  <gap>After [two|three] weeks {R} came back from the city. {R.He} opened {R.his} bag and took out <what?{T.the}>.
  <happy>
- [<intro> ]{R.Name} was {A}'s {R.uncle} and travelled a lot. Before {R.his} last journey {R.he} had asked what {A}
  wanted, and {A} had said <what={T.a}>. <gap>One day a parcel came by post. {A} read the sender's name: it was from
  {R}. In the parcel lay <what?{T.a}>.

promised_it
- put <what={T.the}> at the top of a list
- promised to bring <what={T.the}>
- said, "You will get <what={T.the}>"

story who_did 4 A=child B=friend D=friend2 R=parent T=keepsake who=one_of_three
- {A}, {B}, and {D} were playing in the house. <who={who}> broke the window with a ball, and everybody ran away.
  <gap>"Who broke the window?" asked {R}. Nobody spoke. At last <who?{who}> stood up and said, "It was me." {R.Name}
  was not angry for long, because it takes courage to tell the truth.
- {A}, {B}, and {D} wanted to show the {T} at school. They drew straws, and so it was <who={who}> who carried {T.it}
  there. <gap>At school the teacher wanted to see the {T}. "Who has {T.it}?" "I have," said <who?{who}>, and put
  {T.it} on the table.

story riddle 3 A=child B=wizard secret=secret
- Deep in the forest {A} met {B}. "The magic word is <word={secret}>," said {B}. "Do not forget it, or the door will
  stay shut." <gap>Now {A} stood before the stone door. What was the word? {A} closed {A.his} eyes and thought hard.
  "<word?{secret.cap}>!" {A.he} called, and slowly the door swung open. Behind it lay <treasure>.
- "If you ever need help," {B} told {A}, "say <word={secret}>." {A} laughed and went on {A.his} way. <gap>Then {A}
  fell into a deep hole and could not get out. {A.He} remembered what {A.he} had been told. "<word?{secret.cap}>," {A}
  whispered. A rope came down, and at the other end stood {B}.

treasure
- a room full of books and maps
- a garden with golden pears
- a chest of old silver coins
- a table with a warm supper for one
- a small boat on an underground lake
- a sleeping dragon no bigger than a cat

story list 3 A=child R=parent G=grocery H=grocery I=grocery
- [<intro> ]"{A}, bring {G.some}, {H.some}, and {I.some}," said {A.his} {R.father}. {A} said the words again and
  again: "<item1={G.cap}>, <item2={H}>, <item3={I}>." <gap>In the shop {A} had to think. First there was the
  <item1?{G}>, then the <item2?{H}>. And the third thing? It was the <item3?{I}>! {A} carried everything home, and {R}
  was pleased.
- [<intro> ]{A} had no paper, so {A.he} learned the list by heart: <item1={G}>, <item2={H}>, <item3={I}>. <gap>"What
  do you need?" asked the shopkeeper. "<item1?{G.cap}>, <item2?{H}>, and <item3?{I}>," {A} <said>, without stopping
  once. "Nothing else?" "No, that is all."

story tallest 4 A=child B=friend D=friend2 Q=compared who=one_of_three whom=one_of_three least=one_of_three
- {A}, {B}, and {D} wanted to know who was the {Q.est}. <who={who}> was {Q.er} than {whom}, and {whom} was {Q.er} than
  {least}. <gap>"So who is the {Q.est}?" asked the teacher. "<who?{who}>," they all said. "And who comes second?"
  "{whom}." {least} did not mind. [Next year would be another year.|Somebody has to be third.]
- <who={who}> was {Q.er} than {whom}. {whom} was {Q.er} than {least}. Everybody [in the class|in the village] knew it.
  <gap>One day a visitor asked, "Which of you three is the {Q.est}?" All of them pointed to <who?{who}>.
"""
