"""English words with several senses, and little scenes in which the words around them tell which is meant.

Every sense has a rule ``word_sense`` with at least four scenes. A scene needs only A, is complete in itself, and marks
every use of the word: ``<bats^animal>``.
"""

# word: its forms; its senses, each with a gloss
SENSES: dict[str, tuple[str, dict[str, str]]] = {
    "server": ("server servers", {"person": "someone who brings food in a restaurant",
    "computer": "a computer that serves others"}),
    "check": ("check checks checked checking", {"bill": "the paper that says what a meal costs",
    "inspect": "look whether all is well"}),
    "bank": ("bank banks", {"river": "the land beside a river", "money": "a house where money is kept"}),
    "bat": ("bat bats", {"animal": "a small animal that flies at night",
    "club": "a stick for hitting balls"}),
    "bow": ("bow bows bowed", {"ribbon": "a knot with two loops", "weapon": "it shoots arrows",
    "bend": "bend to show respect"}),
    "ring": ("ring rings rang", {"jewel": "a band for a finger", "sound": "make the sound of a bell"}),
    "bark": ("bark barks barked", {"tree": "the skin of a tree", "dog": "the cry of a dog"}),
    "light": ("light lights", {"lamp": "what makes things visible", "weight": "not heavy"}),
    "match": ("match matches", {"fire": "a stick that makes fire", "game": "a contest between two sides"}),
    "spring": ("spring springs", {"season": "the time after winter",
    "water": "a place where water comes out of the ground"}),
    "letter": ("letter letters", {"mail": "a written message", "alphabet": "a sign such as A or B"}),
    "watch": ("watch watches watched", {"clock": "a small clock on the wrist", "look": "look for some time"}),
    "fly": ("fly flies", {"insect": "a small insect", "move": "move through the air"}),
    "park": ("park parks parked", {"garden": "a green place in a town", "car": "leave a car somewhere"}),
    "nail": ("nail nails", {"finger": "the hard end of a finger", "iron": "a metal pin"}),
    "wave": ("wave waves waved", {"sea": "moving water", "hand": "move a hand in greeting"}),
    "star": ("star stars", {"sky": "a sun far away", "film": "a famous performer"}),
    "trunk": ("trunk trunks", {"elephant": "an elephant's nose", "luggage": "a large box for travelling"}),
    "seal": ("seal seals sealed", {"animal": "an animal of the cold sea", "wax": "wax that closes a paper"}),
    "palm": ("palm palms", {"hand": "the inside of a hand", "tree": "a tree of warm countries"}),
    "mouse": ("mouse", {"animal": "a very small animal with a long tail",
    "computer": "what moves the pointer on a screen"}),
    "crane": ("crane cranes", {"bird": "a tall bird", "machine": "a machine that lifts"}),
    "ruler": ("ruler rulers", {"person": "a king or a queen", "tool": "a stick for measuring"}),
    "date": ("date dates", {"fruit": "a sweet brown fruit", "day": "a day of the calendar"}),
}  # fmt: skip
LEMMAS = {form: word for word, (forms, _) in SENSES.items() for f in forms.split() for form in (f, f.capitalize())}

PEOPLE_AND_WORK = """
server_person
- {A} sat down in a small restaurant near the station. The <server^person> brought a menu and a glass of water. {A}
  ordered [fish|soup|noodles|rice] and ate slowly. "<Server^person>, may I have the <check^bill>?" {A.he} asked.
- The restaurant was [full|crowded|busy] that night. One <server^person> carried four plates at once, and another
  <server^person> poured the wine. {A} waited [ten|twenty] minutes for {A.his} food, but it was worth it.
- "What would you like to eat?" asked the <server^person>. {A} looked at the menu and chose the [tomato soup|fried
  fish|mushroom pie]. The <server^person> wrote it down and went to the kitchen.
- {A} dropped {A.his} fork. At once a <server^person> came to the table with a clean one. "Thank you," said {A}, and
  left a good tip.
- After the meal {A} wanted to pay. "<Server^person>, may I have the <check^bill>?" The <server^person> nodded, took
  away the empty plates, and came back with a small piece of paper.
- The new <server^person> was nervous and spilled soup on the tablecloth. {A} only laughed. "It is my first day," said
  the <server^person>. "Then you are doing very well," said {A}.

server_computer
- "I crashed the <server^computer>," said {A}, and everybody in the office [turned around|stopped typing|looked up].
  Nobody could open a file or send a message. {A} started the machine again, and after [five|ten] minutes the screens
  came back.
- The <server^computer> stood in a cold room in the cellar, and all the files of the office were kept on it. {A} read
  the error message, changed one line of the program, and the <server^computer> ran again.
- At noon the website stopped working. {A} looked at the log and saw that the <server^computer> had no memory left.
  {A.He} stopped two old programs, and the page loaded at once.
- "Who crashed the <server^computer>?" asked the engineer. "I crashed the <server^computer>," said {A}. "I pulled out
  the wrong cable." Soon the cable was back in its place, and the data was safe.
- Every night the <server^computer> copied all the data to a second disk. So when the first disk broke, {A} lost
  [nothing|not a single file].
- The program was slow because the <server^computer> was old. {A} bought a faster <server^computer>, and now every
  page opened in a second.

check_bill
- When the plates were empty, {A} asked for the <check^bill>. It was [eleven|twelve|nineteen] coins for two soups and
  a cake. {A} paid and thanked the cook.
- The <check^bill> lay on a little plate. {A} read it twice, because the price of the wine was wrong. The mistake was
  quickly put right.
- "The <check^bill>, please!" called {A} across the dining room. {A.He} counted out the coins and left a tip under the
  cup.
- "Let me pay the <check^bill>," said {A} after dinner. "You paid for the coffee and the cake last time, my friend."

check_inspect
- {A} forgot to <check^inspect> the brakes of the bicycle, and on the hill it would not stop. Luckily there was only a
  haystack at the bottom.
- Before the ship sailed, {A} <checked^inspect> every rope. One was nearly torn, so {A.he} tied a new one in its
  place.
- "Did you <check^inspect> the doors?" {A} was asked that night. {A.He} went back and <checked^inspect> them all. The
  back door was open.
- The doctor <checked^inspect> {A}'s ears and throat and listened to {A.his} heart. "You are as healthy as a horse,"
  said the doctor.
- {A} always <checks^inspect> {A.his} sums before giving them to the teacher. This time {A.he} found two mistakes.

bank_river
- {A} sat on the <bank^river> with a fishing rod and looked at the slow water. A [duck|frog|turtle] swam past, and the
  reeds moved in the wind.
- The river was high after the rain, and the muddy <bank^river> was slippery. {A} held on to a willow so as not to
  fall into the water.
- {A} tied the boat to a tree on the left <bank^river> and ate lunch in the grass. Then {A.he} washed the plate in the
  river.
- The ducks built their nest on the <bank^river>, among the reeds. {A} watered the cows a little further down the
  stream.
- A bridge joins the two <banks^river> of the river. {A} crossed it slowly and looked down at the fish.

bank_money
- {A} carried {A.his} savings to the <bank^money> and put the coins on the counter. The clerk counted them and wrote
  the sum in a small book.
- The <bank^money> opened at nine. {A} stood in line to borrow money for a new roof, and signed [two|three] papers.
- "How much money is in my account?" {A} asked at the <bank^money>. The clerk looked it up. It was more than {A.he}
  had thought.
- There was a thick steel door in the cellar of the <bank^money>. Behind it lay the gold and the savings of the whole
  town, and {A} had one of the keys.
- {A} worked at a <bank^money> in the city. All day long {A.he} counted coins and wrote down who paid and who
  borrowed.

bat_animal
- At dusk a <bat^animal> flew out of the old tower and caught insects above {A}'s head. It made no sound at all.
- {A} shone a lamp into the cave. Dozens of <bats^animal> hung upside down from the roof and slept with folded wings.
- A small <bat^animal> flew through the open window at night. {A} put out the lamp, and soon it found its way out into
  the dark.
- "Are <bats^animal> birds?" asked {A}. "No," said the teacher. "They have fur and feed their young with milk. They
  find their way in the dark by listening."
- When the sun went down, the <bats^animal> left the barn one after another. {A} counted [nineteen|twenty] of them
  before it was too dark to see their wings.

bat_club
- {A} swung the wooden <bat^club> and hit the ball so hard that it flew over the fence. The whole team cheered.
- "Hold the <bat^club> with both hands," said the trainer, "and keep your eyes on the ball." {A} missed twice and hit
  the third ball.
- {A} got a new <bat^club> for the game. {A.He} rubbed it with oil and practised every day after school until {A.he}
  could hit any ball.
- The ball was fast, but {A} was faster. There was a loud crack as the <bat^club> hit the ball, and {A.he} ran to the
  first base.
- The <bat^club> broke in the last game of the season. {A} glued it and hung it on the wall beside the team's photo.

bow_ribbon
- {A} wrapped the present in blue paper and tied a big red <bow^ribbon> around it. It looked too pretty to open.
- There was a silk <bow^ribbon> in {A}'s hair for the birthday party. When {A.he} danced, it came loose and fell into
  the cake.
- "How do you tie a <bow^ribbon>?" asked {A}. First make one loop, then another, and pull the ribbon through. After
  [three|four] tries {A.his} shoes stayed tied.
- On {A}'s birthday a kitten sat in a basket with a green <bow^ribbon> around its neck. The basket was tied with
  another <bow^ribbon>, made of yellow silk.

bow_weapon
- {A} took an arrow, bent the <bow^weapon>, and let go. The arrow hit the middle of the target.
- The hunter carved a <bow^weapon> from the wood of a yew tree. It took {A} a whole year to learn to shoot an arrow
  straight with it.
- With a <bow^weapon> in {A.his} hand and ten arrows on {A.his} back, {A} guarded the gate of the castle all night.
- At the fair, people shot at a straw target with <bow^weapon> and arrow. {A} pulled the string back to {A.his} ear
  and won a goose.

bow_bend
- {A} <bowed^bend> low before the throne, as everyone at court had to, and did not look up until {A.he} was spoken to.
- At the end of the play {A} stepped to the front of the stage and took a <bow^bend>. The people clapped and threw
  flowers.
- "You must <bow^bend> when you meet the old master," {A} was told. So {A} <bowed^bend> so deeply that {A.his} hat
  fell off.
- The guests <bowed^bend> politely to one another, and {A} answered with a deep <bow^bend> of {A.his} own.

ring_jewel
- {A} lost a golden <ring^jewel> in the garden and looked for it among the carrots for hours. A year later {A.he}
  pulled up a carrot that had grown right through it.
- There was a small blue stone in the <ring^jewel>. {A} wore it on {A.his} left hand and never took it off, not even
  to wash the dishes.
- The jeweller polished the silver <ring^jewel> and wrote {A}'s name on the inside. It fitted {A.his} finger
  perfectly.
- At the wedding somebody had forgotten the <rings^jewel>. {A} ran home, found them on the kitchen table, and came
  back out of breath.

ring_sound
- The school bell was about to <ring^sound>, and {A} was still running down the street. {A.He} sat down in class just
  in time.
- When the telephone <rang^sound>, {A} was in the bath. It <rang^sound> [six|seven] times and then fell silent.
- Every Sunday {A} pulls the thick rope and the church bells <ring^sound> over the roofs of the village.
- Somebody <rang^sound> the doorbell. {A} opened, but there was nobody outside, only a basket of plums.
"""

NATURE = """
bark_tree
- The <bark^tree> of the old oak was rough and full of cracks. {A} pressed {A.his} hand against it and felt an ant
  crawl over {A.his} thumb.
- A deer had eaten the <bark^tree> of the young apple tree. {A} tied cloth around the stem so that the tree would
  live.
- {A} made a little boat out of a piece of <bark^tree>, with a leaf for a sail, and let it float down the stream.
- The <bark^tree> of the birch is white and thin as paper. {A} drew a map on a piece of it.

bark_dog
- The dog began to <bark^dog> in the middle of the night. {A} got up and saw a fox near the hen house.
- "Does your dog bite?" asked {A}. "No," said the neighbour, "it only <barks^dog> at strangers." It <barked^dog> once
  more and then licked {A}'s hand.
- {A} heard a loud <bark^dog> behind the fence, and a brown puppy pushed its nose through the gap.
- The sheep were slow, so the dog ran around them and <barked^dog> until they all moved. {A} closed the gate behind
  them.

light_lamp
- It was dark in the cellar, and {A} could not find the <light^lamp>. {A.He} felt along the wall until {A.his} fingers
  touched the switch.
- Far out at sea {A} saw the <light^lamp> of the lighthouse. It flashed [three|four] times and went dark again.
- {A} reads in bed every evening until {A.he} is told to turn off the <light^lamp>.
- From the hill {A} could see the <lights^lamp> of the town shining in the dark like small fires.
- The candle gave only a little <light^lamp>, but it was enough for {A} to read the map.

light_weight
- The basket was so <light^weight> that {A} could carry it with one finger. "Is there anything in it?" {A.he} asked.
  There was only a feather.
- {A} chose the <light^weight> suitcase, because the other one was too heavy to lift.
- A kite must be <light^weight>, or the wind cannot lift it. So {A} made it out of thin paper and straw.
- "How <light^weight> you are!" said {A} to the kitten. It weighed less than a loaf of bread.

match_fire
- {A} struck a <match^fire> and lit the candle. The small flame shook in the wind, but it did not go out.
- There was only one dry <match^fire> left in the box. {A} held it carefully to the wood, and soon a fire was burning.
- "Never play with <matches^fire>," {A} was told. "One spark, and the whole barn could burn down."
- The stove had gone cold. {A} put in paper and sticks, lit a <match^fire>, and blew until the flames were high.

match_game
- {A}'s team lost the first <match^game> two to one, but {A.he} scored the only goal. The next <match^game> was on
  Sunday, and then they won.
- It rained during the whole <match^game>, and the players were covered with mud. {A} kept the ball out of the goal
  three times.
- {A} played a long <match^game> of chess against the oldest player of the club. After [three|four] hours they shook
  hands. The game had no winner.
- The whole town came to see the tennis <match^game>. {A} won the last point, threw {A.his} cap into the air, and the
  crowd clapped.

spring_season
- In <spring^season> the snow melted, and the first flowers came up in {A}'s garden. By summer it was full of roses.
- All winter {A} waited for <spring^season>. When the swallows came back and the days grew longer, {A.he} knew that it
  was here.
- {A} planted the potatoes in <spring^season>, watered them in summer, and dug them up in autumn.
- It was the first warm day of <spring^season>. The cherry trees were in bloom, and {A} left {A.his} coat at home.

spring_water
- High in the hills {A} found a <spring^water>. Clear cold water came out between two stones, and {A.he} drank until
  {A.he} was no longer thirsty.
- The village got all its water from a <spring^water> under the rocks. In the dry year it stopped running, and {A} had
  to dig a well.
- Where does the river begin? {A} followed it upstream all day, and in the evening {A.he} stood before a small
  <spring^water> under a beech tree.
- The water of the hot <spring^water> smelled of eggs, but {A} bathed in it for an hour and felt young again.

fly_insect
- A <fly^insect> landed on {A}'s nose just as the photo was taken. In the picture there is a black dot in the middle
  of {A.his} face.
- There was a <fly^insect> in the soup. {A} took it out with a spoon and set it on the edge of the plate, where it
  cleaned its wings.
- A <fly^insect> buzzed against the window all morning. {A} could not work, so {A.he} opened the window and let it
  out.
- A spider waited until a <fly^insect> was caught in its web. {A} saw it and felt a little sorry for the <fly^insect>.

fly_move
- In autumn the wild geese <fly^move> south. {A} heard their cries and looked up until the last one was gone.
- The young bird did not dare to <fly^move>. It sat on the edge of the nest for two days. On the third day, as {A}
  looked on, it jumped and flew.
- {A} had always wanted to <fly^move> in an airplane. When it rose above the clouds, {A.he} pressed {A.his} nose to
  the glass.
- "Will it <fly^move>?" asked {A}. The wind took the paper kite and lifted it higher than the church tower.

wave_sea
- A big <wave^sea> knocked {A} over and filled {A.his} mouth with salt water. {A.He} came up coughing and laughing.
- The <waves^sea> broke against the rocks all night. {A} lay awake and listened to the storm.
- {A} built a castle of sand close to the water. The first <wave^sea> took the tower and the second <wave^sea> took
  the rest.
- The little boat climbed up every <wave^sea> and slid down on the other side. {A} was as pale as cheese.

wave_hand
- {A} gave a <wave^hand> from the window until the train was out of sight.
- "Why does nobody <wave^hand> back?" thought {A}. Then {A.he} saw a small hand go up at the other end of the street.
- {A} <waved^hand> with both arms, but the bus did not stop. The driver only <waved^hand> back in a friendly way.
- At the gate {A} turned around for one last <wave^hand>. All the friends on the steps <waved^hand> too.

star_sky
- The night was clear, and the sky was full of <stars^sky>. {A} lay in the grass and looked for the Great Bear.
- The sailor showed {A} the one <star^sky> that always stands in the north. With its help a ship can find its way at
  night.
- "How far away is that <star^sky>?" asked {A}. "So far," said the teacher, "that its shine needs years to reach us."
- One after another the <stars^sky> came out above the dark roofs, and {A} made a wish.

star_film
- {A} sat next to a famous film <star^film> on the train and did not know it. For two hours they talked about cheese.
- Everybody wanted a photo with the <star^film> of the show. {A} stood in line for an hour and got one, with a smile
  and a handshake.
- {A} dreamed of being a <star^film>. {A.He} sang in front of the mirror every day and learned to dance.
- The <star^film> came out of the theatre, and the crowd screamed. {A} got a signed picture.
"""
