"""English plots of school, sport, friendship and habits, and days made of scenes for words with several senses."""

RULES = """
story new_pupil 5 A=child B=friend P=town AB=pair
- A new {A.boy} came to school. {A.His} name was <name={A}>, and {A.he} came from {P}. <pupil_alone>[
  <pupil_alone>]~<pupil_meet> <pupil_end>
- {A} and {A.his} family had moved to {P}. On the first day at the new school {A} knew nobody. <pupil_alone>[
  <pupil_alone>]~<pupil_meet> <pupil_end>
- "This is {A}," said the teacher. "Who will share a desk with {A.him}?" <pupil_alone>[ <pupil_alone>]~<pupil_meet>
  <pupil_end>

pupil_alone
- At lunch {A.he} sat alone under the <tree> and ate <dish>.
- {A} looked at {A.his} shoes and did not say a word.
- Everyone stared at {A.him}, and somebody giggled.
- Nobody asked {A} to play <game>.
- The bench in the yard was long, and {A} sat at the very end of it.
- {A} read the same page of <book> [three|four|five] times and understood nothing.
- In {A}'s old school there had been only [nine|eleven] children. Here there were more than {A} could count.

pupil_meet
- Then {B} came and sat down beside {A.him}. "I like your bag," {B.he} said. "Do you want half of my apple?"
- {B} lent {A} a pencil. On the end of it was a tiny carved owl. "You can keep it," {B} whispered.
- "Can you climb?" asked {B}. {A} nodded. A minute later both of them were sitting at the top of the <tree>.
- {B} had been new once too. {B.He} showed {A} the library, the garden, and the hole in the fence.
- {B} tripped over {A}'s bag, and [marbles|chestnuts|crayons] rolled in all directions. They gathered them together,
  one by one.
- "Do you know how to play <game>?" asked {B}. "No," said {A}. "Me neither," said {B}. "Come on."
- At the same moment {A} and {B} yawned. Then both of them laughed.

pupil_end
- After a week it seemed to {A} that {A.he} had always known {B}.
- From then on {AB.they} sat side by side.
- "How was school?" {A} was asked at home. "Good," said {A}, and it was true.
- <end>
- "What was it like in your old school?" asked {B}. And {A} began to tell.
- By summer nobody remembered that {A} had ever been new.

story test 4 A=child B=friend R=parent N=sum
- [<intro> ]The teacher wrote a sum on the board: {N.first} plus {N.second}. {A} raised {A.his} hand. "{N.Total}!"
  <test_end>
- [<intro> ]Tomorrow there would be a test, and {A} did not know anything. {B} came to help {A.him}. "What is
  {N.first} plus {N.second}?" asked {B}. "{N.Total}," said {A}. "You see, you can do it." <test_end>
- [<intro> ]{A} could not sleep because of the test. "What do {N.first} and {N.second} make?" asked {A.his}
  {R.father}. "{N.Total}," said {A} at once. "Then you have nothing to fear," said {R}. <test_end>

test_end
- The next day {A} got the second best mark in the class. <happy>
- {A} made only one mistake, and that was in {A.his} own name.
- "Very good," said the teacher, and drew a sun on the page.
- The teacher smiled and asked a harder question. This time it was {B} who knew the answer.
- {A} wrote so fast that the pencil broke. {B} lent {A.him} one.
- After school {A} and {B} ran to the [lake|field|bakery] and did not think about numbers any more.
- On the way out {B} whispered, "I had the same answer."

story read_signs 3 A=child R=grandparent
- {A}'s {R.grandfather} taught {A.him} to read. <read_how>[ <read_how>] <read_end>
- {A} could not read yet. {A.He} only knew the first <letter^alphabet> of {A.his} name. So {A.his} {R.grandfather} sat
  down with {A.him} every evening. <read_how>[ <read_how>] <read_end>
- {R.Name} had never learned to read. "I will teach you," said {A}, who was already in the third class. <read_other>
  <read_end_other>

read_how
- They began with the signs in the street: BAKERY, STATION, NO DOGS.
- "This <letter^alphabet> looks like a snake," said {R}, "and it sounds like one too: S."
- They read <book>, one page every evening, slowly, with a finger under the line.
- {R.Name} wrote words on [slips of paper|stones|leaves] and hid them all over the house, and {A} had to find and read
  them.
- They read [the names of the stations|the labels in the kitchen|old newspapers|<book>], until {A} no longer needed
  any help.
- {A} drew each <letter^alphabet> in the [sand|snow|steam on the window], and {R} guessed which one it was.

read_other
- Every day {A} wrote one <letter^alphabet> on a piece of paper and hung it over the stove. {R.Name} looked at it
  while {R.he} cooked.
- They wrote words in the flour on the kitchen table and wiped them away again.

read_end
- After a year {A} read the newspaper aloud to {R}, and {R} closed {R.his} eyes and listened.
- One day a <letter^mail> came, and {A} read it all alone. <happy>
- "Now the whole world is open to you," said {A.his} {R.grandfather}.
- At night {A} read under the blanket until {R} laughed and took the lamp away.
- Now it was {A} who read the [recipes|bus times|birthday cards] aloud, and {R} who listened.

read_end_other
- On {R.his} seventieth birthday {R} read a whole page aloud, and everybody clapped.
- The first thing that {R} read alone was a <letter^mail> from {A}.

story sport 5 A=child B=friend D=friend2
- [<intro> ]<when>, {A}'s team played against the team from the other side of the river. <sport_start>~<sport_turn>
  <sport_end>
- [<intro> ]{A} was the smallest player on the team and always sat on the bench. <sport_start>~<sport_turn>
  <sport_end>
- [<intro> ]It was the last <match^game> of the year, and {A} and {B} were nervous. <sport_start>~<sport_turn>
  <sport_end>

sport_start
- After an hour {A.his} team was two points behind. Then {D} hurt a foot, and the trainer called, "{A}, it is your
  turn!"
- {B} threw the ball, {A} swung the <bat^club>, and missed. The others groaned.
- The grass was wet, and everyone slipped. The score stood one to one, and there were only five minutes left.
- {D} cheered from the fence so loudly that the birds left the trees.
- {B} had forgotten {B.his} shoes and played in [boots|socks|bare feet].
- "Do not be afraid," said {B}. {A} held the <bat^club> as if it were made of [glass|ice|gold].
- Half of the players on {A}'s team were ill, and so even {D} had to play, who had never held a ball before.
- The other team was [taller|faster|stronger|older] and wore [new|black|shining] shirts.

sport_turn
- {A} held the <bat^club> tight and looked only at the ball. Crack! It flew over the fence, over the road, and into
  the river.
- {A} saw {B} standing free and threw the ball to {B.him}. {B} jumped, caught it, and scored.
- At dusk, when they could hardly see the ball any more and the first <bats^animal> flew over the field, {A} caught it
  with one hand.
- {A} ran faster than ever before, past one player, past another, and over the line.
- {D} kicked the ball by mistake, and it flew in a high [curve|arc] right to {A}, who only had to put out a foot.
- Then it began to [rain|hail|snow], and nobody could see anything but {A}'s red shirt. {B} threw the ball to the red
  shirt.
- {A} fell, got up, fell again, and still reached the line before the others.
- "Now!" shouted {B}. {A} [closed {A.his} eyes|took three steps|held {A.his} breath] and hit the ball with all {A.his}
  strength.

sport_end
- They carried {A} home on their shoulders.
- "I told you so," said {B}, and {D} laughed.
- They had lost, but only by one point, and {A} had played better than ever. "Next year," said the trainer.
- Both teams shook hands and ate <dish> together.
- That night {A} slept with the ball under {A.his} pillow.

story race 5 A=child B=friend D=friend2 who=one_of_three whom=one_of_three least=one_of_three
- On the day of the fair there was a race around the lake. {A}, {B}, and {D} stood at the line. "Ready, steady, go!"
  <race_run>[ <race_run>] {who} came in first, {whom} came second, and {least} came third. <race_end>
- {A} and {B} both said that they were faster than {D}. "Then let us see," said {D}. They ran from the mill to the
  church. <race_run>[ <race_run>] In the end {who} was faster than {whom}, and {whom} was faster than {least}.
  <race_end>
- {A}, {B}, and {D} climbed the hill to see who was the strongest. {who} carried a heavy stone to the top. {whom}
  carried a smaller stone, and {least} carried the smallest. <race_end>

race_run
- At the first corner someone slipped on the mud, but got up at once.
- A goose ran along for a while and was in front of everybody.
- The people along the road clapped and shouted the names.
- Halfway there was a big puddle, and only one of them jumped over it.
- {D} stopped to help a [beetle|child|duckling] and then ran twice as fast.
- {A} had a stone in {A.his} shoe, and {B} had one in each.
- "Faster!" shouted the baker. "Slower!" shouted the doctor.
- Everyone went the long way round, but one of them knew a gap in the hedge.

race_end
- {who} got a cake as a prize and cut it into three pieces.
- "You were lucky," said {least}, and {who} laughed.
- {whom} shook {who}'s hand. "Next year I will win," {whom} said.
- {least} was not sad, because it had been great fun.
- Nobody was as proud as {who}.
- Then all three of them drank a whole [jug|bucket] of water.
- "Again?" asked {least}. "Tomorrow," said {who}.
- The next day their legs hurt so much that none of them could climb the stairs.

story quarrel 5 A=child B=friend T=toy AB=pair
- [<intro> ]{A} and {B} were best friends. But one day {AB.they} both wanted the same {T}.
  <quarrel_fight>~<quarrel_alone>[ <quarrel_alone>]~<quarrel_peace>
- [<intro> ]{B} had borrowed {A}'s {T} and broken {T.it}. <quarrel_fight>~<quarrel_alone>[
  <quarrel_alone>]~<quarrel_peace>
- [<intro> ]"You always have to be first!" shouted {A}. "And you never share your {T}!" shouted {B}. <quarrel_alone>[
  <quarrel_alone>]~<quarrel_peace>

quarrel_fight
- {A} pulled, {B} pulled, and the {T} flew into the pond.
- "It is mine!" cried {A}. "No, mine!" cried {B}, although both of them knew better.
- {A} was so angry that {A.he} ran home and slammed the door.
- "I never want to see you again," said {A}, and {B} turned away so that nobody could see {B.his} face.
- {A} said something [mean|unkind|silly], and {B} said something worse.
- They drew a line across the [yard|garden|room], and nobody was allowed to cross it.
- {B} counted to ten to calm down, but {A} was already gone.

quarrel_alone
- The next day {A} played alone, and it was [boring|no fun at all|very quiet].
- {A} sat on the steps with {A.his} chin in {A.his} hands. <aside>
- {B} came past the house three times, but {B.he} did not <ring^sound> the bell.
- For two days neither of them said a word to the other.
- {B} wrote a message, tore it up, and wrote another.
- At supper {A} was not hungry. "Is something wrong?" {A.he} was asked, and {A.he} shook {A.his} head.
- It rained, and each of them looked out of a different window.

quarrel_peace
- Then {A} took {A.his} last piece of cake and knocked at {B}'s door. "I am sorry," said both of them at the same
  moment.
- Under the door {A} found a note. "Dear {A}, please come out. {B}." {A} ran outside without {A.his} shoes.
- In the end {B} mended the {T} with glue and string, and now {T.it} looked even better than before.
- A <small_animal> ran between their feet, and they had to laugh, and the quarrel was forgotten.
- "You may have it on [Mondays|Saturdays], and I will have it on [Tuesdays|Sundays]," said {A}. {B} thought that this
  was fair.
- They met at the bakery by accident, and there was only one bun left. {A} broke it in two.
- {B} put something behind {A}'s window in the night: [a drawing|a bag of cherries|{B.his} best marble].

story habit 15 A=child B=friend V=habit W=habit X=habit
- Every day {A} {V.s} {V.rest}. Yesterday {A.he} {V.past} {V.rest} as always, but today {A.he} is ill and cannot
  {V.base} {V.rest}. Tomorrow {A.he} will {V.base} {V.rest} again.
- {A} likes to {V.base} {V.rest}. {B} likes to {W.base} {W.rest}. Last week {A} {V.past} {V.rest} every day, and {B}
  {W.past} {W.rest}. Today it is the other way around: {A} {W.s} {W.rest}, and {B} {V.s} {V.rest}. <habit_end>
- In the morning {A} {V.s} {V.rest}. At noon {A.he} {W.s} {W.rest}. In the evening {A.he} {X.s} {X.rest}. That is how
  it was yesterday too: first {A.he} {V.past} {V.rest}, then {A.he} {W.past} {W.rest}, and at last {A.he} {X.past}
  {X.rest}.
- "What are you doing?" asked {B}. "I am {V.ing} {V.rest}," said {A}. "You {V.past} {V.rest} yesterday!" "I {V.base}
  {V.rest} every day," said {A}. <habit_end>
- When {A} was small, {A.he} {V.past} {V.rest} every <weekday>. Now {A.he} is older and {W.s} {W.rest} instead. But
  sometimes {A.he} still {V.s} {V.rest}, just for fun.
- {B} {V.past} {V.rest}, and {A} {W.past} {W.rest}. "What shall we do now?" "Let us {X.base} {X.rest}!" So they
  {X.past} {X.rest} until [it was dark|they were tired|supper was ready].
- {A} is {V.ing} {V.rest}, {B} is {W.ing} {W.rest}, and the cat is asleep. An hour ago {A} {W.past} {W.rest}, and {B}
  {X.past} {X.rest}. In the evening they will {X.base} {X.rest} together.
- "I am tired of {V.ing} {V.rest}," said {A}. "Then try {W.ing} {W.rest}," said {B}. {A} {W.past} {W.rest} for a
  while. But the next day {A.he} was {V.ing} {V.rest} again, because nobody {V.s} {V.rest} as gladly as {A}.

habit_end
- And so it goes, day after day.
- {B} laughs and says that a clock is not as exact as {A}.
- Only when it snows is everything different.
- What will {A} do next? {B} has no idea.

story count 11 A=child B=friend N=animal F=fruit
- [<intro> ]{A} had one {N}, and {B} had [two|three|four] {N.s}. "One {N} is lonely," said {B}. "Take one of my
  {N.s}." Now {A} had two {N.s}, and none of the {N.s} was alone.
- [<intro> ]There was one {F} on the table. {A} went out and came back with many {F.s}. "Which {F} do you want?"
  {A.he} asked. "The biggest of all the {F.s}," said {B}.
- [<intro> ]One {N} stood by the fence. Then more {N.s} came, until there were [seven|nine|ten] {N.s}. {A} counted
  them twice. {B} gave every {N} {F.a}.
- [<intro> ]"Look, {N.a}!" cried {A}. "Where?" asked {B}. Behind the trees there were other {N.s}, big ones and small
  ones. {A} had never seen so many {N.s} at once, and one little {N} came quite close.
- [<intro> ]{A} drew {N.a} on the wall. Beside it {B} drew [three|four|five] more {N.s}. The {N.s} were green and
  blue, and the first {N} wore a hat.

story grow_up 5 A=child B=friend R=parent
- When {A} was a {A.boy}, {A.he} [was small and afraid of the dark|wanted to be a <dream>|slept with <toy_bed>]. Now
  {A} is a grown {A.man} and afraid of nothing but [geese|thunder|the dentist]. <grow_end>
- {A} is a {A.boy}, and {B} is a {B.boy}. One day {A} will be a {A.man}, and {B} will be a {B.man}. "What will we do
  then?" asks {B}. "The same as now," says {A}, "only with bigger shoes." <grow_end>
- The {A.man} in the old photo [looks serious|has a long coat|is holding a goose]. "Is that you?" asks {B}. "Yes,"
  says {A}. "And this is me when I was a little {A.boy}." {B} laughs at the hat. <grow_end>
- "You were such a [good|loud|tiny] {A.boy}," says {A.his} {R.father}, "and now look at you, a {A.man} with [grey
  hair|a family|a bicycle shop]." <grow_end>
- A {A.boy} grows up and becomes a {A.man}: {A} could not imagine that. "Did you too?" {A.he} asked {A.his}
  {R.father}. "I was a {R.boy} for a long time," said {R}. <grow_end>

dream
- pilot
- baker
- clown
- sailor
- train driver
- singer

toy_bed
- a wooden horse
- a sock
- three dolls
- a torch

grow_end
- {B} finds that hard to believe.
- Time goes by like [a river|a cart downhill|the wind].
- They [look at the old photos|eat <dish>|take a walk by the river] and talk about the old days.
- "And you still cannot whistle," says {B}.
- Some things never change.
- {A} smiles and says nothing.

story busy_day 60 A=adult B=friend
- <scene_open> <scene>~<scene_close>
- <scene_open> <scene> <mood> <scene_close>
- <scene_open> <scene> ¶ <later> <scene>
- <scene_open> <scene> ¶ <later> <scene>~<scene_close>
- <scene_open> <scene>~<aside> ¶ <later> <scene> ¶ <later> <scene> <scene_close>
- <scene_open> <pair_of_scenes>~<scene_close>
- <scene_open> <pair_of_scenes> <aside> <scene_close>

scene_open
- <intro_adult>
- <intro_adult> <mood_long>
- This happened to {A} [last year|in October|a long time ago|only yesterday].
- Have you heard what happened to {A}?
- {A} often told this story.
- {A} remembered that day well.
- {A} could hardly believe it.

mood_long
- {A.His} best friend was {B}.
- {A.He} liked [tea|coffee|cocoa] better than anything else.
- {A.He} had [two cousins and a goat|a cat and a piano|a garden full of <flower>|a room full of books].
- {A.He} got up early every day and went to bed late.
- But this story is about something else.

scene_close
- {A} told {B} about it [the next day|at supper|on the telephone].
- "And then?" asked {B}. "That was all," said {A}.
- {B} laughed when {B.he} heard about it.
- {A} has never forgotten it.
- <end>
"""
