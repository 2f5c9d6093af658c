"""More English plots: the sea, the library, music, lost things, work, small adventures."""

RULES = """
story lost_thing 5 A=child B=friend T=keepsake
- [<intro> ]{A} had lost {A.his} {T}. <lost_search>[ <lost_search>]~<lost_help>[ <lost_help>] They found {T.it}
  <lost_place>. <end>
- "Where is my {T}?" cried {A}. {A.He} [still had {T.it} that morning|needed {T.it} at once|looked into every pocket].
  <lost_search>[ <lost_search>]~<lost_help>[ <lost_help>] In the end {T.it} was <lost_place>. <end>
- When {A} reached into {A.his} pocket, the {T} was gone. <lost_search>[ <lost_search>] <mood> <lost_help>[
  <lost_help>] {B} found {T.it} <lost_place>, and {A} hugged {B.him}.

lost_search
- {A} looked under the [bed|table|carpet], behind the [stove|clock|curtain], and even in the [soup pot|oven|flower
  pot].
- {A} walked the whole way back with {A.his} eyes on the ground.
- {A} turned everything upside down, until {A.his} room looked as if a storm had gone through it.
- {A} asked <neighbour>, but nobody had seen {T.it}.
- "Think," {A} told {A.himself}. "Where did I go? First to the [bakery|school|well], then to the
  [bridge|library|barn]."

lost_help
- {B} came by and helped to look. {B.He} found [two spoons|a dead beetle|an old sock], but not the {T}.
- "When did you see {T.it} last?" asked {B}. {A} thought hard.
- {B} crawled under the [sofa|cart|stairs] and came out with dust in {B.his} hair.
- {B} lit a lamp, and the two of them looked in every corner.

lost_place
- in the pocket of {A.his} other coat
- in the nest of a crow
- under {A.his} own hat
- between the pages of <book>
- in the bread basket
- in a boot
- around the neck of the cat
- exactly where {A} had begun to look

story library 5 A=child B=friend C=friend2
- [<intro> ]In the library it was [warm|quiet|cool], and it smelled of [paper|dust|leather]. {A} was looking for
  <book>. <library_meet>~<library_read>[ <library_read>] <library_end>
- {A} had read all the books in the house, even the [cookbook|telephone book]. So {A.he} went to the library for the
  first time. <library_meet>~<library_read>[ <library_read>] <library_end>
- "This book is [three|seven|twenty] years late," said {B}, who worked in the library. {A} turned red. <library_read>[
  <library_read>] <library_end>

library_meet
- {B}, who worked there, pushed a ladder along the shelf and climbed up to the [top|fifth row]. "Here it is," {B.he}
  called.
- "Have you washed your hands?" asked {B} at the counter. {A} showed {B.him} both sides.
- {B} whispered, "Take this one. I read it when I was as old as you, and I forgot to [eat|go home|sleep]."
- Between the shelves sat {C} with [three|nine] books on {C.his} knees and did not look up.

library_read
- {A} sat down on the floor and began to read. When {A.he} looked up again, it was [dark|evening|closing time].
- On the last page somebody had written in pencil: "[Now begin again|The best part is missing|I cried too]."
- Between the pages lay a pressed [flower|leaf] and an old [train ticket|photo|shopping list].
- The story was about [a ship that sailed on sand|a thief who stole only clocks|a child who could talk to bees]. {A}
  could not stop.

library_end
- "May I take it home?" asked {A}. "For [two|three] weeks," said {B}, and put a stamp in it.
- {A} read on the way home and walked into a [lamp post|hedge|wheelbarrow].
- Since then {A} has gone to the library every <weekday>.
- At home {A} read it again from the beginning, aloud, to the [cat|goat|stove].
- Years later {A} wrote a book, and it stood on the same shelf.

story music 5 A=child B=friend R=uncle
- [<intro> ]{R.Name} gave {A} an old [violin|trumpet|accordion|flute]. <music_bad>~<music_learn>[ <music_learn>]
  <music_end>
- {A} wanted to play in the [village|school|town] band more than anything else. <music_bad>~<music_learn>[
  <music_learn>] <music_end>
- {B} could sing so beautifully that [birds fell silent|people stopped in the street|the cook burned the rice]. {A}
  could only hum. <music_learn>[ <music_learn>] <music_end>

music_bad
- At first it sounded like [a cat in a sack|a rusty gate|a sick goose]. The neighbours closed their windows.
- "Perhaps you should practise in the [barn|forest|cellar]," said {A}'s {R.uncle}.
- The dog howled along, and {B} put [cotton|bread] in {B.his} ears.

music_learn
- But {A} practised every day, [before school|after supper|in the stable], first slowly and then faster.
- {B} tapped the time with a [spoon|stick|shoe], and {A} played the same line [twenty|forty|a hundred] times.
- "Do not play the notes," said {R}. "Play the [rain|sea|wedding|bees]." {A} closed {A.his} eyes and tried it.
- One morning there was suddenly a melody, and the [milk cart|old neighbour|rain] stopped.

music_end
- At the summer fair {A} played in front of everybody, and {B} was the first to clap.
- When {R} heard it, {R.he} had to blow {R.his} nose.
- Now the neighbours opened their windows when {A} began to play.
- {A} played one wrong note, and {B} said that it had been the most beautiful one.

story lighthouse 5 A=adult B=friend T=keepsake
- {A} kept the lighthouse on the [rocky|northern|windy] point. Every evening {A.he} climbed [ninety|two hundred] steps
  and lit the lamp. <sea_storm>~<sea_help> <sea_end>
- {A} had a small [blue|white|red] boat and caught [herring|crabs|eels] in the bay. <sea_storm>~<sea_help> <sea_end>
- {A} and {B}, each in a small boat, rowed out to the island to look for [shells|mussels|driftwood].
  <sea_storm>~<sea_help> <sea_end>

sea_storm
- Then a fog came up, so thick that {A} could not see {A.his} own [hand|feet].
- One night there was a storm, and a <wave^sea> as high as a [house|church] broke over the rocks.
- The wind turned, and the sea grew [black|wild|rough].
- Toward evening {A} saw something dark in the water. It was neither a [fish|rock] nor a [barrel|log].

sea_help
- Out there somebody was calling for help. {A} took a rope and a lamp, and rowed toward the voice. It was {B}, who was
  holding on to a plank.
- {A} <rang^sound> the fog bell again and again, until an answer came. Slowly {B}'s boat came out of the grey.
- {B} held the lamp, and {A} pulled at the oars until {A.his} hands were sore.
- A <seal^animal> swam ahead of the boat, as if it wanted to show {A} and {B} the way.
- "Hold on!" shouted {A}. {B} held on, although the water was as cold as ice.

sea_end
- When they felt sand under their feet, {B} laughed and cried at the same time.
- In the morning the sea lay there as smooth as [glass|milk|a tablecloth], as if nothing had happened.
- {B} gave {A} {T.a} as a thank-you. {T.It} still lies on {A.his} window sill.
- "Never again," said {B}. The next day {B.he} was out at sea once more.
- {A} made [tea|soup] with a lot of pepper, and they drank it without a word.

story circus 4 A=child B=friend D=circus_animal
- [<intro> ]A circus came to town. {A} and {B} [crawled under the tent|sat in the first row|carried water for the
  {D.s}, and so they did not have to pay]. <circus_show>[ <circus_show>]~<circus_trouble> <circus_end>
- On every wall hung a poster: Tonight, the great circus! {A} had saved [five|eight] coins, just enough for two
  tickets. {A.He} took {B} along. <circus_show>[ <circus_show>]~<circus_trouble> <circus_end>

circus_show
- A [clown|strong acrobat|juggler] threw [nine|seven] plates into the air and caught all but one.
- {D.A} walked on its hind legs and counted to [five|seven] by stamping.
- High above, an acrobat walked on a rope, first forwards, then backwards, then with a [chair|tray of glasses] on the
  head.
- A magician pulled [scarves|a live hen|an umbrella] out of {B}'s ear.

circus_trouble
- Then the lamps went out, and the {D} got loose. {A} held out [a bun|an apple|half a sandwich], and the {D} came.
- "Who wants to help me?" asked the clown, and pointed at {B}. {B} wanted to hide, but {A} pushed {B.him} forward.
- The drummer was ill. {A} took the sticks and drummed as well as {A.he} could.

circus_end
- Everybody clapped, and {A} and {B} clapped until their hands hurt.
- "When I grow up, I will be a clown," said {B}. "I thought that you already were one," said {A}.
- The next morning there was only a circle of flat grass where the tent had stood.
- All week {A} practised with [plates|apples|eggs], and in the end there were none left.

story flood 4 A=worker B=colleague
- <intro_worker> It had rained for [five|six|nine] days, and the river was rising. <flood_do>~<flood_more> <flood_end>
- "The dam is breaking!" shouted {B} the {B.job} in the middle of the night. {A} [jumped out of bed|put on {A.his}
  boots|took a lamp]. <flood_do>~<flood_more> <flood_end>
- The old bridge had a crack, and only {A} the {A.job} had noticed it. <bridge_do>~<bridge_more> <flood_end>

flood_do
- The whole village filled sacks with sand, and {A} carried [fifty|a hundred] of them.
- {A} and {B} rowed from house to house and took people down from the roofs.
- {B} led the cows up the hill, and {A} carried the [hens|lambs] under {A.his} arms.

flood_more
- The water reached the [church door|first step|window sills], stood still for an hour, and began to fall.
- At dawn the rain stopped, and for the first time in days there was a piece of blue sky.
- {A} lost a boot, {B} lost a hat, but nobody lost a child or a friend.

bridge_do
- {A} tied a red cloth to a stick and stood in the road until every [cart|bus|truck] stopped.
- "The bridge is safe," said everyone. {A} dropped a stone on it, and a piece of the wall fell into the river.
- {A} told {B}, {B} told the mayor, and the mayor told them not to worry. So {A} and {B} closed the road themselves.

bridge_more
- That same night the bridge fell into the river, with a noise like thunder.
- For [two|three] months {A} and {B} carried stones, and then there was a new bridge.
- {B} measured the crack every day. It grew by the width of a hair, then by the width of a finger.

flood_end
- There was a feast, and {A} and {B} sat at the head of the table and fell asleep over the soup.
- On the wall of the mill a line still shows how high the water was.
- The mayor wanted to give a speech, but everyone was already dancing.
- "You saved us," the people said to {A}. "You are a {A.hero}." "We all did it," said the {A.hero}.
- {A} was called a {A.hero} from that day on, and {A.he} did not know what to say to that.

story hotel 4 A=adult B=adult2 N=number P=town
- {A} arrived in {P} late at night. "Room number <number={N}>," said {B} at the desk of the hotel. <hotel_gap> {A}
  stood in the corridor and looked for {A.his} room. What was the number? "<number?{N.cap}>," {A.he} said at last, and
  the key fitted.
- {A} lost the key of {A.his} room in the hotel. It was room number <number={N}>. <hotel_gap> "Which room do you
  have?" asked {B} at the desk. "<number?{N.cap}>," said {A}. {B} smiled and gave {A.him} another key.

hotel_gap
- {A} was very tired.
- The stairs were steep, and the lamp on the second floor was broken.
- First {A} ate <dish> in the dining room. At the piano sat a guest in slippers and played so softly that nobody
  talked. {A} had a glass of <drink> and thought about the journey.
- {A} went for a walk by the harbour. The shops were closed, and two cats sat on an upturned boat. A sailor told {A}
  about a fish with a beard. Then it began to rain, and {A} ran back with a newspaper on {A.his} head. In the hall it
  smelled of floor wax. An old guest was asleep in the armchair, and the clock showed the wrong time.

story bedtime 6 A=child R=parent N=animal X=fable_animal
- [<intro> ]"Tell me a story," said {A}. {A.His} {R.father} sat down on the edge of the bed. <bed_story>~<bed_end>
- [<intro> ]{A} could not sleep. {R.Name} brought {A.him} a glass of [milk|water] and said, "I will tell you about
  {N.a} without a name." <bed_story>~<bed_end>
- [<intro> ]Every evening {A}'s {R.father} told {A.him} a story, and every evening it was about [the same {X}|a
  different animal|the moon]. <bed_story>~<bed_end>

bed_story
- "Once there was {X.a} that wanted to see the end of the world. It walked and walked, and at the end of the world
  there stood [a chair|another {X}|its own house]."
- "Far away," {R} began, "there is a village where it rains [soup|buttons|music] on Sundays, and everyone goes out
  without an umbrella."
- "{X.A} and the moon were friends," {R.he} said. "Every month the moon grew thin, and the {X} brought it
  [cheese|milk|pancakes] until it was round again."
- {R.Name} told of a {R.boy} who had been afraid of the dark. "That was you!" cried {A}. "Perhaps," said {A.his}
  {R.father}.

bed_end
- "And then?" asked {A}. But {R} had fallen asleep.
- {A} wanted to hear the end, but {A.his} eyes closed all by themselves.
- "Is that a true story?" asked {A}. "Tonight it is," said {A.his} {R.father}, and put out the <light^lamp>.
- {R.Name} kissed {A.him} on the forehead and left the door open a little.
- Then it was quiet, and only the clock in the hall went on telling stories.

story family 7 A=child B=sibling P=parent U=uncle G=grandparent AB=pair
- {A} has a {B.brother} named {B}. {A.His} {P.father} works [at the mill|in a hospital|on a ship|at the station], and
  {A.his} {U.uncle} is [a baker|a teacher|a singer|a beekeeper]. <kin>~<kin> <family_end>
- {B} is {A}'s [little|older] {B.brother}. {AB.They} share [a room|a bicycle|a bed] and a {P.father} who [snores|sings
  too much|burns every egg]. <kin> <kin> <family_end>
- "My {U.uncle} can [lift a cow|speak with bees|eat nine dumplings]," said {A}. "Then <kin_claim>," said {A.his}
  {P.father}. <kin> <kin> <family_end>
- {A} drew the family on a big sheet of paper. At the top stood {G}, below stood {P} and {U}, and at the bottom stood
  {A} and {B}. <kin> <kin> <kin> {A} hung the picture over the [stove|bed|door].

kin
- {U.Name} is the {U.brother} of {A}'s {P.father}, and so {A} is {U.his} {A.nephew}.
- {G.Name} is the {G.father} of {A}'s {P.father}, and so {A} is {G.his} {A.grandson}.
- {A} is the {A.son} of {A.his} {P.father} and the {A.grandson} of {G}.
- {U} has no children, but {U.he} has a {A.nephew}, and that is {A}.
- {B} is the {B.brother} of {A}, and {A} is the {A.brother} of {B}.
- "You have the nose of your {G.grandfather}," says {U} to {U.his} {A.nephew}, whenever {A} comes to visit.
- When {A.his} {P.father} was a little {P.boy}, {U} was {P.his} best friend.
- {G.Name} has a {P.son}, the {P.father} of {A} and {B}.

kin_claim
- you must be a strong {A.nephew}
- I must be the {P.brother} of a wonder
- you should ask {U.him} to mend the roof

family_end
- "How many we are!" says {A}.
- On Sundays all of them sit around one table, and it is never quiet.
- "And who am I?" asks {B}. "You are my {B.brother}," says {A}, "and that is enough."
- {G.Name} laughed. "And all of you have my ears," {G.he} said.
"""
