"""English plots about the world: journeys to real countries and their capitals, postcards, lessons, fishing, fables."""

RULES = """
story journey 9 A=adult B=adult2 C=tongue D=tongue T=keepsake AB=pair
- <intro_adult> {A.He} had never left home. Then one day {A.he} sold {A.his} [bicycle|piano|goat] and travelled to
  {C}. <journey_city>~<journey_learn>[ <journey_learn>] <journey_end>
- {A} and {B} wanted to see the world. First {AB.they} went to {C}. <journey_city>~<journey_learn>[ <journey_learn>]
  Then {AB.they} went on to {D}. <journey_second> <journey_end>
- "Where are you going?" asked {B}. "To {C}," said {A}, "and I want to see {C.capital}, the capital." <journey_learn>[
  <journey_learn>]~<aside> <journey_end>
- {A} was on the way to {D.capital}, the capital of {D}, but fell asleep and took the wrong train. When {A.he} woke
  up, {A.he} was in {C.capital}, the capital of {C}. <journey_learn>[ <journey_learn>] <journey_end>

journey_city
- The capital of {C} is {C.capital}. {A} walked through the streets of {C.capital} until {A.his} feet hurt.
- {C.capital}, the capital of {C}, was bigger than {A} had thought. Everywhere there were
  [bicycles|markets|bells|flags|lamps], and nobody stood still.
- The train arrived in {C.capital} at [dawn|noon|midnight]. "So this is the capital of {C}!" said {A}.
- In {C.capital} {A} rented a small room above a [bakery|bookshop|tailor's shop]. From the window {A.he} could see
  half of the capital of {C}.

journey_second
- The capital of {D} is {D.capital}, and there {AB.they} stayed for [two|three|four] weeks.
- In {D.capital}, the capital of {D}, {B} lost {B.his} hat and {A} found a friend.
- There people speak {D.language}, and {B} knew only one word of {D.language}: thank you.

journey_learn
- In {C} people speak {C.language}. {A} learned three words of {C.language} every day: first bread, water, and thank
  you, then all the others.
- At a market in {C} an old farmer said something in {C.language}. {A} did not understand a word, but bought {T.a}.
- {A} asked a child for the way. The child answered in {C.language} and took {A} by the hand.
- "Do you speak {C.language}?" asked a voice. "A little," said {A}, in {C.language}.

journey_end
- When {A} came home, {A.he} hung a map of {C} above the bed.
- {A} wanted to stay in {C} for a week and stayed for a year.
- "What was the best thing?" asked {B}. "Coming home," said {A}.
- {A} brought {B} {T.a} from {C.capital}, and {B} put {T.it} on the window sill.
- Since then {A} has known that {C} is not far away, only a long ride on a train.

story river_city 4 A=adult B=adult2 C=river_country
- [<intro_adult> ]{C.capital}, the capital of {C}, lies on a river called the {C.river}. {A} sat on the <bank^river>
  and looked at the boats. <river_more>[ <river_more>]
- [<intro_adult> ]{A} stood on a bridge in {C.capital}. Below flowed the {C.river}. "Is {C.capital} the capital of
  {C}?" asked {B}. "It is," said {A}. <river_more>[ <river_more>]
- [<intro_adult> ]"Which river flows through {C.capital}?" asked {B}. "The {C.river}," said {A}. "And which country is
  it in?" "In {C}, of course." <river_more>[ <river_more>]

river_more
- {B} wanted to change money at a <bank^money>, but all of them were closed. So {B} and {A} shared the last bun.
- A [white|red|long] ship went by, and the people on it <waved^hand>.
- {A} put a foot into the water of the {C.river}. It was ice-cold.
- In the evening the lamps were lit and trembled on the water, and somebody played music. {A} understood some of the
  {C.language} words.
- {B} threw a coin into the {C.river}. "So that we come back," {B.he} said.
- {A} wrote the name of the river in a notebook, between the price of the [hotel|ticket] and a drawing of a
  [duck|bridge].
- A [fisher|boatman|child] laughed at {B}'s hat, and then all of them laughed.
- They walked along the water from one end of {C.capital} to the other and ate <dish>.

story postcard 7 A=adult B=adult2 C=country D=country
- [<intro_adult> ]A postcard came for {A}. "Greetings from {C.capital}! {C} is beautiful. Tomorrow I will go on to
  {D}. Yours, {B}." <postcard_end>[ <postcard_end>]
- [<intro_adult> ]{B} sent {A} a postcard from every country. The first came from {C.capital} in {C}, the second from
  {D.capital} in {D}. <postcard_end>[ <postcard_end>]
- [<intro_adult> ]"Dear {B}," wrote {A}, "I have been in {C} for a week. {C.capital}, the capital, never sleeps. Next
  week I will be in {D}. Do not forget to water the <flower>!" <postcard_end>[ <postcard_end>]

postcard_end
- {A} read it [twice|three times] and stuck it on the kitchen door.
- It had been on the way for [two|three|four] weeks.
- The picture showed [a bridge and a boat|a donkey with a hat|a white tower|mountains in the snow].
- When the two of them met again, they had a lot to tell.
- There was hardly any room left for the stamp.
- {A} looked for both places in the atlas and drew a red line between them.
- A coffee stain covered half of it, but {A} could read the rest.

story lesson 12 A=child B=friend C=country D=country E=country
- "What is the capital of {C}?" asked the teacher. {A} raised {A.his} hand. "{C.capital}!" "And the capital of {D}?"
  "{D.capital}," said {B}. <lesson_end>
- The teacher hung a map on the wall. "{C} has a capital, and it is called {C.capital}," said {B}. "The capital of {D}
  is {D.capital}, and the capital of {E} is {E.capital}." <lesson_end>
- {A} had to learn three capitals by heart. {C}: {C.capital}. {D}: {D.capital}. {E}: {E.capital}. {B} asked {A.him}
  again and again until {A.he} knew them. <lesson_end>
- {A} and {B} were playing a game. One said a country, and the other said its capital. "{C}!" "{C.capital}! And {D}?"
  "{D.capital}! And {E}?" "{E.capital}!" <lesson_end>
- "I will go to {C.capital} one day," said {A}. "Where is that?" asked {B}. "In {C}, in {C.continent}." "And I will go
  to {D.capital}, in {D}," said {B}. "That is in {D.continent}." <lesson_end>
- {A} thought that {D.capital} was the capital of {C}. "No," said {B}, "{D.capital} is the capital of {D}. The capital
  of {C} is {C.capital}." <lesson_end>

lesson_end
- "Very good," said the teacher. "Tomorrow we will learn the rivers."
- {A} turned the globe with one finger and dreamed of long journeys.
- <end>
- When the bell <rang^sound>, everyone ran outside.
- "Is there school in {C} too?" asked {A}. "There is school everywhere," said {B}.
- At home {A} asked everyone in the family, and nobody knew as much as {A}.
- {B} drew a little flag beside every name.
- "And where do penguins live?" asked {A}, because {A.he} liked penguins better than capitals.
- The teacher gave {A} a [stamp|sticker|foreign coin], and {B} got one too.

story speak 6 A=adult B=adult2 C=tongue D=tongue
- [<intro_adult> ]{A} came from {C} and spoke {C.language}. {B} came from {D} and spoke {D.language}. <speak_end>[
  <speak_end>]
- [<intro_adult> ]In the hotel {A}, who was from {C}, met {B}, who was from {D}. {A} sang a song in {C.language}, and
  {B} sang one in {D.language}. <speak_end>[ <speak_end>]
- [<intro_adult> ]"In {C} we speak {C.language}," said {A}. "And in {D} we speak {D.language}," said {B}. <speak_end>[
  <speak_end>]

speak_end
- They drew pictures on a napkin and understood each other very well.
- After a year each of them spoke both languages, and they made jokes that nobody else understood.
- When {A} told {B} about {C.capital} and {B} told {A} about {D.capital}, they both grew a little homesick.
- Together they cooked a big [supper|pot of soup|dinner for the whole street], and for that they needed no words at
  all.
- {B} taught {A} to count to ten, and {A} taught {B} a rude word about geese.
- "And how do you say friend?" asked {B}. {A} said it, and {B} said it too, and both of them remembered it.
- They talked with hands and feet until the [train|ship|bus] came.

story fishing 6 A=child R=grandparent
- [<intro> ]{A} and {A.his} {R.grandfather} sat on the <bank^river> of the river with two fishing rods. <fish_talk>[
  <fish_talk>]~<fish_catch> <fish_end>
- [<intro> ]<when_morning>, {R} woke {A}. "Today the fish will bite," {R.he} whispered. They walked through the wet
  grass to the river <bank^river>. <fish_talk>[ <fish_talk>]~<fish_catch> <fish_end>

fish_talk
- For a long time nothing happened. A [heron|turtle|frog] looked at them from the other side.
- "You must be quiet," said {R}, and then {R.he} talked for an hour about the fish of {R.his} youth.
- {A} asked why the water always flows and never runs out. {R.Name} thought about it for a long time.
- <aside_river>
- "What do fish dream of?" asked {A}. "Of [worms|rain|the sea]," said {R}.
- {R.Name} carved a [whistle|little boat|spoon] from a stick, and {A} looked at the float.
- The [mosquitoes|ants] bit better than the fish.
- {A} counted [nine|fourteen] dragonflies, and {R} told {A} which of them bring luck.

aside_river
- The sun rose, and the mist over the water turned gold.
- On the other side a boat went by, full of hay.

fish_catch
- Suddenly the rod bent. {A} pulled, and {A.his} {R.grandfather} pulled {A}, and out of the water came [an old boot|a
  huge trout|a bucket with a hole].
- {A} caught a fish as small as a finger. "Let it grow," said {R}, and {A} put it back into the water.
- Instead of a fish {A} pulled out a bottle. In it was a piece of paper, and on it was written: "I am hungry. A fish."
- {A} slipped on the mud and fell in. {R.Name} pulled {A.him} out by the collar.
- {R.Name} fell asleep, and a pike pulled {R.his} rod into the water. {A} jumped in and held on to it.
- {A} caught [three|five] fish, one after another, and {R} caught a cold.
- An otter stole the only fish right out of the bucket. {A} saw only a wet tail.
- At last {R} felt a pull, a strong one. They pulled together, and out came a [chair|wheel|rusty bicycle].

fish_end
- For supper there were pancakes.
- "The best thing about fishing," said {R} on the way home, "is sitting still together."
- {A} told everyone that the fish had been as big as a cow, and {R} did not say a word.
- Whenever {A} sees the river, {A.he} thinks of {A.his} {R.grandfather}.
- "Same time tomorrow?" asked {R}. {A} nodded.
- They let the last fish swim away, because it had looked at {A} so sadly.
- At home everyone asked where the fish was. {A} and {R} looked at each other and said nothing.

story compare 6 A=child B=friend X=fable_animal
- "Which is bigger, a cat or a horse?" asked {A}. "A horse is bigger than a cat," said {B}, "and an elephant is the
  biggest of all." <compare_more>[ <compare_more>]
- {A} stood on {A.his} toes. "I am taller than you!" "But I am older than you," said {B}. "And {X.s} are faster than
  both of us," <said> {A}. <compare_more>[ <compare_more>]
- The hill behind the school is high. The mountain behind the hill is higher, and the highest mountain has snow in
  summer. {A} wanted to climb all three, and {B} wanted to rest. <compare_more>[ <compare_more>]
- "Today is cold," said {A}. "Yesterday was colder," said {B}. "And Sunday was the coldest day of all."
  <compare_more>[ <compare_more>]
- In the shop there were three lamps. The first was bright, the second was brighter, and the third was the brightest.
  The first was cheap, the second was cheaper, and the third cost nothing, because it was broken. {A} took the third
  and repaired it. <compare_more>[ <compare_more>]

compare_more
- A stone is harder than wood, and wood is harder than bread, "except for the bread that you baked," said {B}.
- "Is a river longer than a road?" asked {A}. "Some are longer and some are shorter," said {B}.
- {B}'s bag was heavy, but {A}'s was heavier. So they changed bags at every corner.
- "You are smarter than me," said {A}, "but I am louder."
- The way home was short, and with <song> it was even shorter.
- They were a bit wiser that evening, and a lot dirtier.
- "What is heavier, a bag of feathers or a bag of stones?" asked {A}. {B} carried both and knew the answer.
- "Yesterday I was younger," said {A}, "and tomorrow I will be older." "And I will be wiser," said {B}.
- {A}'s shadow was short at noon and longer in the evening. {B}'s shadow was the longest, because {B.he} stood on a
  box.
- The soup at {A}'s house was good, the soup at {B}'s house was better, and the soup at the inn was the best.
- "My street is wide," said {A}. "Mine is wider," said {B}. "But the road to the sea is the widest."

story atlas 12 A=child B=friend C=tongue D=tongue E=tongue F=tongue G=tongue
- [<intro> ]{A} wanted to know all the capitals of the world and wrote them on the wall. {C}: {C.capital}. {D}:
  {D.capital}. {E}: {E.capital}. {F}: {F.capital}. {G}: {G.capital}. <atlas_end>
- [<intro> ]{A} and {B} turned the globe. "The capital of {C} is {C.capital}," said {A}. "The capital of {D} is
  {D.capital}," said {B}. Then it was {A}'s turn again. "{E.capital} is the capital of {E}, {F.capital} is the capital
  of {F}, and {G.capital} is the capital of {G}!" <atlas_end>
- In {A}'s class there were children from all over the world. One came from {C} and spoke {C.language}, one came from
  {D} and spoke {D.language}, and one came from {E} and spoke {E.language}. The twins were born in {F.capital}, the
  capital of {F}. <atlas_end>
- [<intro> ]{A} collected stamps. "This one is from {C}, where people speak {C.language}," said {A}. "And this one
  comes from {D.capital}, the capital of {D}. In {E} they speak {E.language}, and in {F} they speak {F.language}. The
  rarest was printed in {G.capital}, the capital of {G}." <atlas_end>
- {B} had a game with cards. On the front stood a country, and on the back stood its capital. {A} turned them over:
  {C}, {C.capital}; {D}, {D.capital}; {E}, {E.capital}; {F}, {F.capital}. "In {F} people speak {F.language}," added
  {A}. <atlas_end>
- A ship sailed around the world. In {C} the sailors learned {C.language}, in {D} they learned {D.language}, and in
  {E} they learned {E.language}. {A} was the cook of the ship. From every capital {A.he} wrote to {B}: from
  {C.capital}, from {D.capital}, and from {E.capital}. <atlas_end>

atlas_end
- "How many countries are there?" asked {B}. "Almost two hundred," said {A}. "I will learn the others tomorrow."
- {B} knew [one more|two more], but {A} would not believe it.
- That night {A} [flew over|sailed past|walked through] all of them in a dream.
- "And what is the capital of this house?" asked {B}. "The kitchen," said {A}.
- {B} asked {A.him} three times, and {A.he} did not make a single mistake.
- <lesson_end>

story which 9 A=child B=friend T=toy Q=quality F=goods S=taste
- [<intro> ]{A} and {B} each had a {T}. {A}'s {T} was {Q.base}, but {B}'s was {Q.er}. The {Q.est} {T} of all stood in
  the shop window. <which_end>
- {A} drew three {T.s}: a {Q.base} one, a {Q.er} one, and the {Q.est} one in the world. <which_end>
- "My {F} is {S.base}," said {A}. "Mine is {S.er}," said {B}. They asked the shopkeeper for the {S.est} {F} in the
  shop. <which_end>
- On the table lay three {F.s}. The left one was {S.base}, the middle one was {S.er}, and the right one was the
  {S.est}. {A} gave {B} the {S.est} one. <which_end>
- "Is yours {Q.er} than mine?" asked {B}. "No," said {A}, "it is just as {Q.base}. But the {T} of my cousin is {Q.er}
  than both, perhaps the {Q.est} in town." <which_end>
- {B}'s {T} was {Q.base}. {A}'s {T} was {Q.er}, and {A} was so proud of it that {A.he} forgot to share it. Then a new
  child came with the {Q.est} {T} of all. <which_end>

which_end
- <end>
- In the evening they changed, and each was happy with the other's.
- "It does not matter," said {B}, and {A} nodded.
- {A} looked at it for a long time and said nothing.
- {B} laughed, because {A} had said the same the day before.
- "The one that you share is always the best one," said {B}.
"""
